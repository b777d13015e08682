"""Runs of consecutive addresses: what one string of a filter rule stands for."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from engine.netset.address import BITS, TOP, V4, V6, Address, AddressError, format_address, quoted
from engine.netset.prefix import Prefix

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["ANY", "AddressRange", "cover", "parse_ranges"]

ANY = "*"
"""The wire's spelling of every address of both versions."""


class AddressRange(NamedTuple):
    """Addresses `first` to `last` of one IP version, both included."""

    version: int
    first: int
    last: int

    @classmethod
    def parse(cls, text: str) -> AddressRange:
        """Read an address, a CIDR (host bits are masked) or a range `a-b`. Raises AddressError."""
        if "/" in text:
            prefix = Prefix.parse(text)
            return cls(prefix.version, prefix.base, prefix.last)
        low, dash, high = text.partition("-")
        version, first = Address.parse(low)
        if not dash:
            return cls(version, first, first)
        other_version, last = Address.parse(high)
        if version != other_version or first > last:
            raise AddressError(f"{quoted(text)} is not a range: its ends must ascend in one family")
        return cls(version, first, last)

    def contains(self, version: int, value: int) -> bool:
        """Tell whether the address lies in the range."""
        return self.version == version and self.first <= value <= self.last

    def overlaps(self, other: AddressRange) -> bool:
        """Tell whether the two ranges share an address."""
        return (
            self.version == other.version and self.first <= other.last and other.first <= self.last
        )

    def prefixes(self) -> Iterator[Prefix]:
        """Yield the fewest prefixes that make up the range, ascending."""
        return cover(self.version, self.first, self.last)

    def __str__(self) -> str:
        """Spell as the wire does: an address, a CIDR where the range is one, or `a-b`."""
        size = self.last - self.first + 1
        if size == 1:
            return format_address(self.version, self.first)
        if size & (size - 1) == 0 and self.first % size == 0:
            length = BITS[self.version] - size.bit_length() + 1
            return f"{format_address(self.version, self.first)}/{length}"
        first = format_address(self.version, self.first)
        return f"{first}-{format_address(self.version, self.last)}"


_EVERYTHING = (AddressRange(V4, 0, TOP[V4]), AddressRange(V6, 0, TOP[V6]))


def parse_ranges(text: str) -> tuple[AddressRange, ...]:
    """Read one string of a filter rule: `*` is all of IPv4 and all of IPv6, anything else is one.

    Raises AddressError.
    """
    return _EVERYTHING if text == ANY else (AddressRange.parse(text),)


def cover(version: int, first: int, last: int) -> Iterator[Prefix]:
    """Yield the fewest prefixes that make up `first` to `last`, ascending."""
    bits = BITS[version]
    while first <= last:
        # The largest block that both starts at `first` and ends by `last`.
        aligned = (first & -first).bit_length() - 1 if first else bits
        fitting = (last - first + 1).bit_length() - 1
        step = min(aligned, fitting)
        yield Prefix(version, first, bits - step)
        first += 1 << step
