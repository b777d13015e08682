"""Stretches of addresses, with nothing but the standard library's `ipaddress`."""

from __future__ import annotations

from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    collapse_addresses,
    ip_address,
    ip_network,
    summarize_address_range,
)
from typing import NamedTuple

Ip = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


class Span(NamedTuple):
    """All addresses of one version from `first` to `last`."""

    version: int
    first: int
    last: int

    def holds(self, address: Ip) -> bool:
        return address.version == self.version and self.first <= int(address) <= self.last

    def meets(self, other: Span) -> bool:
        return (
            self.version == other.version and self.first <= other.last and other.first <= self.last
        )

    def is_inside(self, other: Span) -> bool:
        return (
            self.version == other.version and other.first <= self.first and self.last <= other.last
        )


def span(text: str) -> Span:
    """Read an address, a prefix (host bits are masked) or a range `a-b`."""
    if "-" in text:
        low, high = (ip_address(end) for end in text.split("-"))
        return Span(low.version, int(low), int(high))
    network = ip_network(text, strict=False)
    return Span(network.version, int(network[0]), int(network[-1]))


WILDCARD = tuple(
    span(text)
    for text in (
        "100.64.0.0-100.115.91.255",
        "100.115.94.0-100.127.255.255",
        "fd7a:115c:a1e0::/48",
    )
)
"""What the source `*` is, before subnet routes (3.1)."""

INTERNET = tuple(
    span(text)
    for text in (
        "0.0.0.0-9.255.255.255",
        "11.0.0.0-100.63.255.255",
        "100.128.0.0-169.253.255.255",
        "169.255.0.0-172.15.255.255",
        "172.32.0.0-192.167.255.255",
        "192.169.0.0-255.255.255.255",
        "2000::-3fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
    )
)
"""What `autogroup:internet` is (3.1)."""


def networks(stretch: Span) -> list[Network]:
    """Return the prefixes that make up a span."""
    kind: type[IPv4Address | IPv6Address] = IPv4Address if stretch.version == 4 else IPv6Address
    return list(summarize_address_range(kind(stretch.first), kind(stretch.last)))


def without(held: list[Network], removed: Network) -> list[Network]:
    """Take one prefix out of a list of prefixes."""
    left: list[Network] = []
    for network in held:
        if network.version != removed.version or not network.overlaps(removed):
            left.append(network)
        elif removed.prefixlen < network.prefixlen:
            continue
        elif removed != network:
            left.extend(network.address_exclude(removed))  # type: ignore[arg-type]
    return left


def minimal(held: list[Network]) -> list[Network]:
    """Return the fewest prefixes that hold the same addresses."""
    return [
        *collapse_addresses(n for n in held if isinstance(n, IPv4Network)),
        *collapse_addresses(n for n in held if isinstance(n, IPv6Network)),
    ]
