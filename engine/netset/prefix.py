"""CIDR prefixes as integers."""

from __future__ import annotations

from typing import NamedTuple

from engine.netset.address import BITS, Address, AddressError, format_address, quoted

__all__ = ["Prefix"]

_LENGTHS = {str(length): length for length in range(129)}


class Prefix(NamedTuple):
    """Addresses that share their first `length` bits; sorts by version, base, then widest first."""

    version: int
    """4 or 6."""
    base: int
    """Lowest address; its host bits are zero."""
    length: int
    """Leading bits that are fixed."""

    @classmethod
    def of(cls, version: int, value: int, length: int) -> Prefix:
        """Return the prefix of `length` bits that `value` lies in."""
        host_bits = BITS[version] - length
        return cls(version, value >> host_bits << host_bits, length)

    @classmethod
    def parse(cls, text: str) -> Prefix:
        """Read a CIDR, masking host bits, or an address as the prefix of itself alone.

        Raises AddressError.
        """
        host, slash, suffix = text.partition("/")
        version, value = Address.parse(host)
        if not slash:
            return cls(version, value, BITS[version])
        length = _LENGTHS.get(suffix, 129)
        if length > BITS[version]:
            raise AddressError(f"{quoted(text)} is not a prefix: bad length after the slash")
        return cls.of(version, value, length)

    @property
    def last(self) -> int:
        """Highest address."""
        return self.base | (1 << (BITS[self.version] - self.length)) - 1

    @property
    def is_single(self) -> bool:
        """Whether the prefix is one address."""
        return self.length == BITS[self.version]

    @property
    def is_default(self) -> bool:
        """Whether the prefix is all of its IP version, the form of an exit route."""
        return self.length == 0

    def contains(self, version: int, value: int) -> bool:
        """Tell whether the address lies in the prefix."""
        return self.version == version and self.base <= value <= self.last

    def covers(self, other: Prefix) -> bool:
        """Tell whether every address of `other` lies in this prefix."""
        return self.length <= other.length and self.contains(other.version, other.base)

    def overlaps(self, other: Prefix) -> bool:
        """Tell whether the two share an address; then one covers the other."""
        return self.covers(other) or other.covers(self)

    @property
    def short(self) -> str:
        """Spelling with the length left out where the prefix is one address."""
        return format_address(self.version, self.base) if self.is_single else str(self)

    def __str__(self) -> str:
        return f"{format_address(self.version, self.base)}/{self.length}"
