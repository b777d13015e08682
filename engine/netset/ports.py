"""Immutable sets of ports with one canonical form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.netset import intervals
from engine.netset.address import quoted
from engine.rules import ALL_PORTS, EngineError, PortRange

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from engine.netset.intervals import Bounds

__all__ = ["PortError", "PortSet", "parse_port_range"]

_MAX_DIGITS = len(str(ALL_PORTS.last))


class PortError(EngineError, ValueError):
    """Text that is no port, range of ports or list of them; the message quotes it."""


def parse_port_range(text: str) -> PortRange:
    """Read `*`, `N` or `N-M` with ports from 0 to 65535. Raises PortError."""
    if text == "*":
        return ALL_PORTS
    low, dash, high = text.partition("-")
    first = _parse_port(low, text)
    last = _parse_port(high, text) if dash else first
    if first > last:
        raise PortError(f"{quoted(text)} is not a range of ports: it must ascend")
    return PortRange(first, last)


def _parse_port(text: str, within: str) -> int:
    if text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS:
        port = int(text)
        if port <= ALL_PORTS.last:
            return port
    raise PortError(f"{quoted(within)} is not a port or range of ports from 0 to 65535")


@dataclass(frozen=True, slots=True, repr=False)
class PortSet:
    """A set of ports from 0 to 65535. Equal sets compare and hash equal; the empty set is false."""

    bounds: Bounds = ()
    """Members, in the form of `engine.netset.intervals`."""

    @classmethod
    def of(cls, *ranges: tuple[int, int]) -> PortSet:
        """Return the union of (first, last) ranges, both included, such as `PortRange`."""
        return cls.of_ranges(ranges)

    @classmethod
    def of_ranges(cls, ranges: Iterable[tuple[int, int]]) -> PortSet:
        """Return the union of (first, last) ranges from an iterable."""
        return cls(intervals.from_spans(ranges))

    @classmethod
    def parse(cls, text: str) -> PortSet:
        """Read `*` or a comma list of `N` and `N-M`. Raises PortError."""
        return cls.of_ranges(parse_port_range(part) for part in text.split(","))

    def __or__(self, other: PortSet) -> PortSet:
        return PortSet(intervals.union(self.bounds, other.bounds))

    def __and__(self, other: PortSet) -> PortSet:
        return PortSet(intervals.intersect(self.bounds, other.bounds))

    def __sub__(self, other: PortSet) -> PortSet:
        return PortSet(intervals.subtract(self.bounds, other.bounds))

    def __invert__(self) -> PortSet:
        return PortSet(intervals.complement(self.bounds, ALL_PORTS.last))

    def __bool__(self) -> bool:
        return bool(self.bounds)

    @property
    def is_any(self) -> bool:
        """Whether every port is in the set."""
        return self.bounds == (0, ALL_PORTS.last + 1)

    def __contains__(self, port: int) -> bool:
        return intervals.contains(self.bounds, port)

    def issubset(self, other: PortSet) -> bool:
        """Tell whether every port of this set is in `other`."""
        return intervals.is_subset(self.bounds, other.bounds)

    def overlaps(self, other: PortSet) -> bool:
        """Tell whether the sets share a port."""
        return intervals.overlaps(self.bounds, other.bounds)

    def count(self) -> int:
        """Return how many ports are in the set."""
        return intervals.count(self.bounds)

    def witness(self) -> int | None:
        """Return the lowest port of the set, or None where it is empty."""
        return self.bounds[0] if self.bounds else None

    def ranges(self) -> Iterator[PortRange]:
        """Yield the maximal ranges, ascending."""
        for first, last in intervals.spans(self.bounds):
            yield PortRange(first, last)

    def __str__(self) -> str:
        """Spell as `PortSet.parse` reads: `*`, or a comma list; empty for the empty set."""
        if self.is_any:
            return "*"
        return ",".join(
            str(first) if first == last else f"{first}-{last}" for first, last in self.ranges()
        )

    def __repr__(self) -> str:
        return f"PortSet.parse({str(self)!r})"
