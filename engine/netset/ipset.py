"""Immutable sets of IP addresses with one canonical form."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from engine.netset import intervals
from engine.netset.address import TOP, V4, V6, Address
from engine.netset.ranges import ANY, AddressRange, parse_ranges

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from engine.netset.intervals import Bounds
    from engine.netset.prefix import Prefix

__all__ = ["IpSet"]

_SHOWN_STRINGS = 8


@dataclass(frozen=True, slots=True, repr=False)
class IpSet:
    """A set of IPv4 and IPv6 addresses. Equal sets compare and hash equal.

    Nothing is ever expanded into addresses: a /0 costs as much as a /32. The empty set is false.
    """

    v4: Bounds = ()
    """IPv4 members, in the form of `engine.netset.intervals`."""
    v6: Bounds = ()
    """IPv6 members, in the same form."""

    @classmethod
    def of(cls, *texts: str) -> IpSet:
        """Read the union of wire strings: `*`, addresses, CIDRs (host bits masked), ranges `a-b`.

        Raises AddressError.
        """
        return cls.of_strings(texts)

    @classmethod
    def of_strings(cls, texts: Iterable[str]) -> IpSet:
        """Read the union of wire strings from an iterable. Raises AddressError."""
        return cls.of_ranges(found for text in texts for found in parse_ranges(text))

    @classmethod
    def of_ranges(cls, ranges: Iterable[AddressRange]) -> IpSet:
        """Return the union of address ranges."""
        v4: list[tuple[int, int]] = []
        v6: list[tuple[int, int]] = []
        for version, first, last in ranges:
            (v4 if version == V4 else v6).append((first, last))
        return cls(intervals.from_spans(v4), intervals.from_spans(v6))

    @classmethod
    def of_prefixes(cls, prefixes: Iterable[Prefix]) -> IpSet:
        """Return the union of prefixes."""
        return cls.of_ranges(AddressRange(p.version, p.base, p.last) for p in prefixes)

    @classmethod
    def of_addresses(cls, addresses: Iterable[Address]) -> IpSet:
        """Return the set of single addresses."""
        return cls.of_ranges(AddressRange(version, value, value) for version, value in addresses)

    @classmethod
    def union_of(cls, sets: Iterable[IpSet]) -> IpSet:
        """Return the union of many sets, faster than pairwise."""
        members = list(sets)
        return cls(
            intervals.from_spans(span for a in members for span in intervals.spans(a.v4)),
            intervals.from_spans(span for a in members for span in intervals.spans(a.v6)),
        )

    def bounds(self, version: int) -> Bounds:
        """Return the members of one IP version in the form of `engine.netset.intervals`."""
        return self.v4 if version == V4 else self.v6

    def __or__(self, other: IpSet) -> IpSet:
        return IpSet(intervals.union(self.v4, other.v4), intervals.union(self.v6, other.v6))

    def __and__(self, other: IpSet) -> IpSet:
        return IpSet(intervals.intersect(self.v4, other.v4), intervals.intersect(self.v6, other.v6))

    def __sub__(self, other: IpSet) -> IpSet:
        return IpSet(intervals.subtract(self.v4, other.v4), intervals.subtract(self.v6, other.v6))

    def __invert__(self) -> IpSet:
        """Return every address of both versions that is not in the set."""
        return IpSet(intervals.complement(self.v4, TOP[V4]), intervals.complement(self.v6, TOP[V6]))

    def __bool__(self) -> bool:
        return bool(self.v4 or self.v6)

    @property
    def is_empty(self) -> bool:
        """Whether no address is in the set."""
        return not self

    @property
    def is_any(self) -> bool:
        """Whether every address of both versions is in the set."""
        return self == _ANY

    def contains(self, version: int, value: int) -> bool:
        """Tell whether an address, given as a number, is in the set."""
        return intervals.contains(self.v4 if version == V4 else self.v6, value)

    def __contains__(self, address: Address) -> bool:
        return self.contains(address.version, address.value)

    def contains_prefix(self, prefix: Prefix) -> bool:
        """Tell whether every address of the prefix is in the set."""
        span = (prefix.base, prefix.last + 1)
        return intervals.is_subset(span, self.bounds(prefix.version))

    def overlaps_prefix(self, prefix: Prefix) -> bool:
        """Tell whether some address of the prefix is in the set."""
        span = (prefix.base, prefix.last + 1)
        return intervals.overlaps(span, self.bounds(prefix.version))

    def issubset(self, other: IpSet) -> bool:
        """Tell whether every address of this set is in `other`."""
        return intervals.is_subset(self.v4, other.v4) and intervals.is_subset(self.v6, other.v6)

    def overlaps(self, other: IpSet) -> bool:
        """Tell whether the sets share an address."""
        return intervals.overlaps(self.v4, other.v4) or intervals.overlaps(self.v6, other.v6)

    def count(self, version: int) -> int:
        """Return how many addresses of one IP version are in the set."""
        return intervals.count(self.bounds(version))

    def witness(self) -> Address | None:
        """Return the lowest address of the set, IPv4 before IPv6, or None where it is empty."""
        if self.v4:
            return Address(V4, self.v4[0])
        return Address(V6, self.v6[0]) if self.v6 else None

    def ranges(self) -> Iterator[AddressRange]:
        """Yield the maximal ranges ascending, IPv4 before IPv6."""
        for version, bounds in ((V4, self.v4), (V6, self.v6)):
            for first, last in intervals.spans(bounds):
                yield AddressRange(version, first, last)

    def prefixes(self) -> Iterator[Prefix]:
        """Yield the fewest prefixes that make up the set, ascending, IPv4 before IPv6."""
        for found in self.ranges():
            yield from found.prefixes()

    def strings(self) -> Iterator[str]:
        """Yield the set in wire spelling: `*`, or one string for each maximal range."""
        if self.is_any:
            yield ANY
            return
        for found in self.ranges():
            yield str(found)

    def __repr__(self) -> str:
        shown = [repr(text) for text in islice(self.strings(), _SHOWN_STRINGS + 1)]
        if len(shown) > _SHOWN_STRINGS:
            shown[-1] = "..."
        return f"IpSet.of({', '.join(shown)})"


_ANY = IpSet((0, TOP[V4] + 1), (0, TOP[V6] + 1))
