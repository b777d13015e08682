"""Crypto-routing: which peer owns an inner address, by longest prefix.

One dictionary per prefix length in use, longest first: a tailnet has two or three lengths, so a
look-up is two or three dictionary probes, whatever the number of peers.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network
Owner = TypeVar("Owner")


class AllowedIPs(Generic[Owner]):
    """Prefixes to owners. A prefix given to a second owner moves to it, as in WireGuard."""

    def __init__(self) -> None:
        self._tables: dict[int, dict[int, dict[int, Owner]]] = {32: {}, 128: {}}
        self._order: dict[int, list[tuple[int, dict[int, Owner]]]] = {32: [], 128: []}

    def insert(self, network: IPNetwork, owner: Owner) -> None:
        """Give a prefix to an owner."""
        shift = network.max_prefixlen - network.prefixlen
        tables = self._tables[network.max_prefixlen]
        tables.setdefault(shift, {})[int(network.network_address) >> shift] = owner
        self._sort(network.max_prefixlen)

    def remove_owner(self, owner: Owner) -> None:
        """Forget every prefix of an owner."""
        for bits, tables in self._tables.items():
            for shift in list(tables):
                kept = {key: held for key, held in tables[shift].items() if held is not owner}
                if kept:
                    tables[shift] = kept
                else:
                    del tables[shift]
            self._sort(bits)

    def replace(self, owner: Owner, networks: Iterable[IPNetwork]) -> None:
        """Make `networks` all that an owner has."""
        self.remove_owner(owner)
        for network in networks:
            self.insert(network, owner)

    def lookup(self, address: bytes | memoryview) -> Owner | None:
        """Return the owner of a packed address (4 or 16 bytes), or None."""
        number = int.from_bytes(address, "big")
        for shift, table in self._order[len(address) * 8]:
            owner = table.get(number >> shift)
            if owner is not None:
                return owner
        return None

    def networks_of(self, owner: Owner) -> Iterator[IPNetwork]:
        """Yield an owner's prefixes, IPv4 first, then by address and length."""
        found: list[IPNetwork] = []
        for shift, table in self._tables[32].items():
            found += [
                ipaddress.IPv4Network((key << shift, 32 - shift))
                for key, held in table.items()
                if held is owner
            ]
        yield from sorted(found)
        wide = [
            ipaddress.IPv6Network((key << shift, 128 - shift))
            for shift, table in self._tables[128].items()
            for key, held in table.items()
            if held is owner
        ]
        yield from sorted(wide)

    def _sort(self, bits: int) -> None:
        self._order[bits] = sorted(self._tables[bits].items())
