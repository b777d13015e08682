"""Durations in Go's notation, as `checkPeriod` takes them (policy reference 2.4)."""

from __future__ import annotations

import re

__all__ = ["DurationError", "format_duration", "parse_duration"]

_UNITS_NS = {
    "ns": 1,
    "us": 1_000,
    "\u00b5s": 1_000,
    "\u03bcs": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
}
_TERM = re.compile(r"(\d*)(?:\.(\d*))?([^\d.]*)")
_MAX_NS = (1 << 63) - 1
_MAX_LENGTH = 100
"""Longer texts are no duration anyone meant; the bound keeps number conversion cheap."""


class DurationError(ValueError):
    """A text that is not a duration; the message is the service's."""


def parse_duration(text: str) -> int:
    """Return the nanoseconds of a text such as `1h30m`, `-1m`, `1.5s` or `0`.

    Raises DurationError.
    """
    rest = text[1:] if text[:1] in {"+", "-"} else text
    if rest == "0":
        return 0
    if not rest or len(rest) > _MAX_LENGTH:
        raise DurationError(f'time: invalid duration "{text}"')
    total = 0
    while rest:
        match = _TERM.match(rest)
        if match is None or not (match[1] or match[2]):
            raise DurationError(f'time: invalid duration "{text}"')
        total += _term_ns(match, text)
        rest = rest[match.end() :]
    if total > _MAX_NS:
        raise DurationError(f'time: invalid duration "{text}"')
    return -total if text[0] == "-" else total


def _term_ns(match: re.Match[str], text: str) -> int:
    whole, fraction, unit = match[1] or "0", match[2] or "", match[3]
    if not unit:
        raise DurationError(f'time: missing unit in duration "{text}"')
    scale = _UNITS_NS.get(unit)
    if scale is None:
        raise DurationError(f'time: unknown unit "{unit}" in duration "{text}"')
    below = int(fraction or "0") * scale // int("1" + "0" * len(fraction))
    return int(whole) * scale + below


def format_duration(nanoseconds: int) -> str:
    """Spell a duration of whole seconds or more the way the service does, as in `200h0m0s`."""
    sign = "-" if nanoseconds < 0 else ""
    seconds, fraction = divmod(abs(nanoseconds), 1_000_000_000)
    if not seconds and fraction:
        return sign + _below_a_second(fraction)
    tail = f".{fraction:09d}".rstrip("0") if fraction else ""
    minutes, second = divmod(seconds, 60)
    hours, minute = divmod(minutes, 60)
    if hours:
        return f"{sign}{hours}h{minute}m{second}{tail}s"
    if minute:
        return f"{sign}{minute}m{second}{tail}s"
    return f"{sign}{second}{tail}s"


def _below_a_second(nanoseconds: int) -> str:
    for unit, scale in (("ms", 1_000_000), ("\u00b5s", 1_000)):
        if nanoseconds >= scale:
            whole, rest = divmod(nanoseconds, scale)
            tail = f".{rest:0{len(str(scale)) - 1}d}".rstrip("0") if rest else ""
            return f"{whole}{tail}{unit}"
    return f"{nanoseconds}ns"
