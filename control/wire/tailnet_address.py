"""Addresses with a meaning in every tailnet: the ranges, 4via6, and reverse names."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Final

__all__ = [
    "CGNAT",
    "CHROME_OS_VM",
    "SERVICE_IPV4",
    "SERVICE_IPV6",
    "TAILNET",
    "TAILNET_IPV6",
    "VIA_IPV6",
    "ipv6_of_ipv4",
    "is_tailnet_address",
    "reverse_name",
    "via_address_of_name",
    "via_prefix",
]

CGNAT: Final = IPv4Network("100.64.0.0/10")
CHROME_OS_VM: Final = IPv4Network("100.115.92.0/23")
TAILNET_IPV6: Final = IPv6Network("fd7a:115c:a1e0::/48")
TAILNET: Final = (CGNAT, TAILNET_IPV6)
"""Where every tailnet is."""

FOUR_TO_SIX_IPV6: Final = IPv6Network("fd7a:115c:a1e0:ab12:4843:cd96:6200::/104")
VIA_IPV6: Final = IPv6Network("fd7a:115c:a1e0:b1a::/64")
SERVICE_IPV4: Final = IPv4Address("100.100.100.100")
SERVICE_IPV6: Final = IPv6Address("fd7a:115c:a1e0::53")
_VENDOR_SUFFIX: Final = "ts.net"


def is_tailnet_address(ip: IPv4Address | IPv6Address) -> bool:
    """Return whether a node may have this address."""
    if isinstance(ip, IPv4Address):
        return ip in CGNAT and ip not in CHROME_OS_VM
    return ip in TAILNET_IPV6


def ipv6_of_ipv4(ip: IPv4Address) -> IPv6Address:
    """Return the IPv6 address that goes with a tailnet IPv4 address: its low 24 bits."""
    return FOUR_TO_SIX_IPV6.network_address + (int(ip) & 0xFFFFFF)


def via_prefix(site: int, prefix: IPv4Network) -> IPv6Network:
    """Return the 4via6 prefix of an IPv4 subnet at a site, 0 to 2**32 - 1."""
    if not 0 <= site < 2**32:
        raise ValueError("4via6: a site is a number below 2**32")
    address = int(VIA_IPV6.network_address) | site << 32 | int(prefix.network_address)
    return IPv6Network((address, 96 + prefix.prefixlen))


def via_address_of_name(name: str) -> IPv6Address | None:
    """Return the address behind `192-168-1-2-via-7`, bare or below the vendor's domain.

    None for any other name, which then resolves as usual.
    """
    label, _, rest = name.rstrip(".").lower().partition(".")
    if rest and rest != _VENDOR_SUFFIX and not rest.endswith("." + _VENDOR_SUFFIX):
        return None
    dashed, via, site_text = label.rpartition("-via-")
    if not via:
        return None
    try:
        site = int(site_text, 0)
        host = IPv4Address(dashed.replace("-", "."))
        return via_prefix(site, IPv4Network((int(host), 32))).network_address
    except ValueError:
        return None


def reverse_name(ip: IPv4Address | IPv6Address) -> str:
    """Return the PTR name of an address, with its trailing dot."""
    return ip.reverse_pointer + "."
