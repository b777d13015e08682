"""TAI64N timestamps: ever growing per initiator, with the low 24 bits of nanoseconds hidden.

The granularity of 2^24 ns keeps the clock's detail private. A wall clock that steps back must not
lock the process out of its peers, so a stamp never goes back within one run.
"""

from __future__ import annotations

import struct

_TAI_OFFSET = 0x400000000000000A
_GRANULE_NS = 1 << 24
_NS_PER_S = 1_000_000_000

TIMESTAMP_BYTES = 12


def encode(unix_ns: int) -> bytes:
    """Return the 12-byte stamp of a Unix time in nanoseconds."""
    seconds, nanoseconds = divmod(unix_ns, _NS_PER_S)
    return struct.pack(">QI", _TAI_OFFSET + seconds, nanoseconds & ~(_GRANULE_NS - 1))


class Stamper:
    """Gives stamps that grow strictly, whatever the wall clock does."""

    __slots__ = ("_last_ns",)

    def __init__(self) -> None:
        self._last_ns = 0

    def stamp(self, unix_ns: int) -> bytes:
        """Return a stamp for `unix_ns`, later than every earlier one."""
        if encode(unix_ns) <= encode(self._last_ns):
            unix_ns = self._last_ns + _GRANULE_NS
            # Nanoseconds of the last granule of a second mask to a value already given out.
            while encode(unix_ns) <= encode(self._last_ns):
                unix_ns += _GRANULE_NS
        self._last_ns = unix_ns
        return encode(unix_ns)
