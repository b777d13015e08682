"""Which devices an address, prefix or range concerns: by their own addresses or by their routes."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from functools import cached_property
from itertools import accumulate
from typing import TYPE_CHECKING

from engine.netset.constants import INTERNET_SET
from engine.netset.ipset import IpSet
from engine.netset.ranges import AddressRange, parse_ranges

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from engine.directory import Directory
    from engine.netset.address import Address

__all__ = ["Locator"]


class Locator:
    """Finds devices by what addresses they hold or route. Nothing is expanded into addresses."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        self._found: dict[str, tuple[int, ...]] = {}

    def concerned(self, text: str) -> tuple[int, ...]:
        """Return, ascending, the devices that a wire string holds or whose subnets it overlaps.

        `*` concerns nobody in particular here. Exit routes do not count, save that an address
        block of the public internet concerns the exit nodes (policy reference 4.5).
        """
        found = self._found.get(text)
        if found is None:
            found = self._found[text] = tuple(sorted(set(self._look_up(text))))
        return found

    def _look_up(self, text: str) -> Iterator[int]:
        for wanted in self.ranges(text):
            yield from self.holding(wanted)
            yield from self.routing(wanted)
        if self._exit_nodes and IpSet.of(text).issubset(INTERNET_SET):
            yield from self._exit_nodes

    def ranges(self, text: str) -> tuple[AddressRange, ...]:
        """Return what a wire string stands for; those of devices need no reading."""
        address = self._by_text.get(text)
        if address is None:
            return parse_ranges(text)
        return (AddressRange(address.version, address.value, address.value),)

    def holding(self, wanted: AddressRange) -> Iterator[int]:
        """Yield the devices with an address in the range."""
        values, indices = self._addresses[wanted.version]
        first = bisect_left(values, wanted.first)
        yield from indices[first : bisect_right(values, wanted.last)]

    def routing(self, wanted: AddressRange) -> Iterator[int]:
        """Yield the devices with an effective subnet route that overlaps the range."""
        starts, ends, reach, indices = self._routes[wanted.version]
        # Walk down from the last route that starts in time until none below can reach far enough.
        at = bisect_right(starts, wanted.last) - 1
        while at >= 0 and reach[at] >= wanted.first:
            if ends[at] >= wanted.first:
                yield indices[at]
            at -= 1

    @cached_property
    def _by_text(self) -> dict[str, Address]:
        return {
            text: address
            for node in self._directory.nodes
            for text, address in zip(node.address_texts, node.addresses, strict=True)
        }

    @cached_property
    def _addresses(self) -> dict[int, tuple[list[int], list[int]]]:
        table = {}
        for version in (4, 6):
            rows = sorted(
                (address.value, node.index)
                for node in self._directory.nodes
                for address in node.addresses
                if address.version == version
            )
            table[version] = ([row[0] for row in rows], [row[1] for row in rows])
        return table

    @cached_property
    def _routes(self) -> dict[int, tuple[list[int], list[int], list[int], list[int]]]:
        table = {}
        for version in (4, 6):
            rows = sorted(
                (route.range.first, route.range.last, node.index)
                for node in self._directory.nodes
                for route in node.routes
                if route.range.version == version
            )
            ends = [row[1] for row in rows]
            table[version] = (
                [row[0] for row in rows],
                ends,
                list(accumulate(ends, max)),
                [row[2] for row in rows],
            )
        return table

    @cached_property
    def _exit_nodes(self) -> Iterable[int]:
        return [node.index for node in self._directory.nodes if node.exit_routes]
