"""IP addresses as integers: strict parsing and canonical spelling (RFC 4291 2.2, RFC 5952).

The engine works on hundreds of thousands of addresses, so an address is a plain integer next to
its IP version rather than an object. Text is read as strictly as the standard library's
`ipaddress` reads it: no leading zeros, no zones, and an IPv4-mapped address stays IPv6.
"""

from __future__ import annotations

from typing import NamedTuple

from engine.rules import EngineError

__all__ = [
    "BITS",
    "TOP",
    "V4",
    "V6",
    "Address",
    "AddressError",
    "format_address",
    "format_v4",
    "format_v6",
    "parse_v4",
    "parse_v6",
]

V4 = 4
V6 = 6

BITS = {V4: 32, V6: 128}
"""Length of an address in bits, by IP version."""

TOP = {V4: (1 << 32) - 1, V6: (1 << 128) - 1}
"""Highest address, by IP version."""

_V4_MAX_CHARS = len("255.255.255.255")
_V6_MAX_CHARS = len("ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255")
_V6_CHARS = "0123456789abcdefABCDEF:."
_SHOWN_CHARS = 64

# Exactly the spellings of an octet, so that a lookup also refuses signs and leading zeros.
_OCTETS = {str(octet): octet for octet in range(256)}


class AddressError(EngineError, ValueError):
    """Text that is no address, prefix or range; the message quotes it."""


class Address(NamedTuple):
    """One IP address; sorts by version, then numerically."""

    version: int
    """`V4` or `V6`."""
    value: int

    @classmethod
    def parse(cls, text: str) -> Address:
        """Read an address of either version. Raises AddressError."""
        return cls(V6, parse_v6(text)) if ":" in text else cls(V4, parse_v4(text))

    def __str__(self) -> str:
        return format_address(self.version, self.value)


def parse_v4(text: str) -> int:
    """Read a dotted quad without leading zeros. Raises AddressError."""
    if len(text) <= _V4_MAX_CHARS:
        try:
            a, b, c, d = text.split(".")
            return _OCTETS[a] << 24 | _OCTETS[b] << 16 | _OCTETS[c] << 8 | _OCTETS[d]
        except (KeyError, ValueError):
            pass
    raise AddressError(f"{quoted(text)} is not an IP address")


def parse_v6(text: str) -> int:
    """Read an IPv6 address in any spelling of RFC 4291 2.2, without zone. Raises AddressError."""
    if len(text) <= _V6_MAX_CHARS and not text.strip(_V6_CHARS):
        groups = _all_groups(text)
        if groups is not None:
            value = 0
            for group in groups:
                value = value << 16 | group
            return value
    raise AddressError(f"{quoted(text)} is not an IP address")


def _all_groups(text: str) -> list[int] | None:
    """Eight 16-bit groups with `::` filled in, or None where the text has another number."""
    head, gap, tail = text.partition("::")
    try:
        if not gap:
            groups = _groups(head, dotted_tail=True)
            return groups if len(groups) == 8 else None
        high = _groups(head, dotted_tail=False)
        low = _groups(tail, dotted_tail=True)
    except ValueError:
        return None
    missing = 8 - len(high) - len(low)
    return high + [0] * missing + low if missing > 0 else None


def _groups(text: str, *, dotted_tail: bool) -> list[int]:
    if not text:
        return []
    parts = text.split(":")
    dotted = parts.pop() if dotted_tail and "." in parts[-1] else None
    if parts and max(map(len, parts)) > 4:
        raise AddressError("a group has 1 to 4 hexadecimal digits")
    groups = [int(part, 16) for part in parts]  # refuses an empty one
    if dotted is not None:
        value = parse_v4(dotted)
        groups += [value >> 16, value & 0xFFFF]
    return groups


def format_address(version: int, value: int) -> str:
    """Spell an address canonically."""
    return format_v4(value) if version == V4 else format_v6(value)


def format_v4(value: int) -> str:
    """Spell a 32-bit address as a dotted quad."""
    return f"{value >> 24}.{value >> 16 & 255}.{value >> 8 & 255}.{value & 255}"


def format_v6(value: int) -> str:
    """Spell a 128-bit address as RFC 5952 recommends, IPv4-mapped ones with a dotted tail."""
    if value >> 32 == 0xFFFF:
        return "::ffff:" + format_v4(value & 0xFFFFFFFF)
    groups = [f"{value >> shift & 0xFFFF:x}" for shift in range(112, -1, -16)]
    start, length = _longest_zero_run(groups)
    if length < 2:
        return ":".join(groups)
    return ":".join(groups[:start]) + "::" + ":".join(groups[start + length :])


def _longest_zero_run(groups: list[str]) -> tuple[int, int]:
    """Start and length of the first longest run of zero groups."""
    best = (0, 0)
    run = 0
    for index, group in enumerate(groups):
        run = run + 1 if group == "0" else 0
        if run > best[1]:
            best = (index - run + 1, run)
    return best


def quoted(text: str) -> str:
    """Quote untrusted text for an error message, cut where it is long."""
    return repr(text if len(text) <= _SHOWN_CHARS else text[:_SHOWN_CHARS] + "…")
