"""Address blocks with a meaning of their own (policy reference 3.1).

Where a block goes on the wire as several strings, their order is part of the protocol.
"""

from __future__ import annotations

from engine.netset.address import Address
from engine.netset.ipset import IpSet
from engine.netset.prefix import Prefix

__all__ = [
    "ANY_SET",
    "CGNAT",
    "CHROMEOS_HOLE",
    "EMPTY_SET",
    "EXIT_ROUTES",
    "FOUR_VIA_SIX",
    "INTERNET",
    "INTERNET_SET",
    "IP_POOL_RESERVED",
    "LINK_LOCAL",
    "METADATA_ADDRESS",
    "MULTICAST",
    "PRIVATE_V4",
    "SERVICE_ADDRESSES",
    "TAILNET",
    "TAILNET_SET",
    "TAILNET_ULA",
    "WILDCARD_SOURCES",
    "WILDCARD_SOURCE_SET",
]

EMPTY_SET = IpSet()
ANY_SET = ~EMPTY_SET

CGNAT = Prefix.parse("100.64.0.0/10")
"""Where nodes get their IPv4 address from."""

TAILNET_ULA = Prefix.parse("fd7a:115c:a1e0::/48")
"""Where nodes get their IPv6 address from."""

TAILNET = (CGNAT, TAILNET_ULA)
TAILNET_SET = IpSet.of_prefixes(TAILNET)

FOUR_VIA_SIX = Prefix.parse("fd7a:115c:a1e0:b1a::/64")
"""IPv4 networks told apart by a site number above the low 32 bits; an ordinary IPv6 route."""

CHROMEOS_HOLE = Prefix.parse("100.115.92.0/23")
"""Addresses that ChromeOS uses itself, never given to a node."""

SERVICE_ADDRESSES = (Address.parse("100.100.100.100"), Address.parse("fd7a:115c:a1e0::53"))
"""Where every node answers for its own services, such as the resolver."""

IP_POOL_RESERVED = (
    Prefix.parse("100.100.0.0/24"),
    Prefix.parse("100.100.100.0/24"),
    CHROMEOS_HOLE,
)
"""What an address pool may not touch."""

WILDCARD_SOURCES = (
    "100.64.0.0-100.115.91.255",
    "100.115.94.0-100.127.255.255",
    "fd7a:115c:a1e0::/48",
)
"""The source `*` on the wire, before the subnet routes that join it."""

WILDCARD_SOURCE_SET = IpSet.of(*WILDCARD_SOURCES)

INTERNET = (
    "0.0.0.0-9.255.255.255",
    "11.0.0.0-100.63.255.255",
    "100.128.0.0-169.253.255.255",
    "169.255.0.0-172.15.255.255",
    "172.32.0.0-192.167.255.255",
    "192.169.0.0-255.255.255.255",
    "2000::-3fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
)
"""The destination `autogroup:internet` on the wire. Loopback and multicast are inside."""

INTERNET_SET = IpSet.of(*INTERNET)

EXIT_ROUTES = (Prefix.parse("0.0.0.0/0"), Prefix.parse("::/0"))
"""Advertised by an exit node; every other route is a subnet route."""

PRIVATE_V4 = (
    Prefix.parse("10.0.0.0/8"),
    Prefix.parse("172.16.0.0/12"),
    Prefix.parse("192.168.0.0/16"),
)
"""RFC 1918."""

LINK_LOCAL = (Prefix.parse("169.254.0.0/16"), Prefix.parse("fe80::/10"))
"""RFC 3927 and RFC 4291 2.5.6."""

MULTICAST = (Prefix.parse("224.0.0.0/4"), Prefix.parse("ff00::/8"))
"""RFC 5771 and RFC 4291 2.7."""

METADATA_ADDRESS = Address.parse("169.254.169.254")
"""The one link-local address that may be reached through a node: cloud metadata services."""
