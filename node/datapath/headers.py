"""Headers of segments that follow one another, all from the first one's.

Between a segment and the next, three numbers change: the IPv4 identification goes up by one, so
the IPv4 header checksum goes down by one, and the TCP sequence number goes up by the payload. As
32-bit words in the machine's byte order that is one addition for the whole burst; what a numpy
call costs before it touches the first element is more than the work itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_WORD = 4


class CountingHeads:
    """Writes the headers of `count` segments with `payload` bytes each behind the headers."""

    def __init__(
        self,
        count: int,
        header_bytes: int,
        transport_at: int,
        payload: int,
        *,
        is_ipv6: bool,
        is_tcp: bool,
    ) -> None:
        words = header_bytes // _WORD
        ramp = np.arange(count, dtype=np.int64)
        steps = np.zeros((count, words), np.int64)
        if not is_ipv6:
            steps[:, 1] = ramp << 16
            steps[:, 2] = -ramp
        if is_tcp:
            steps[:, transport_at // _WORD + 1] = ramp * payload
        self._steps = steps.astype(np.uint32)
        first = bytearray(header_bytes)
        self._first_bytes = memoryview(first)
        self._first = np.frombuffer(first, ">u4")
        self._native = np.zeros(words, np.uint32)
        self._all = np.zeros((count, words), np.uint32)

    def write(self, first: bytes | memoryview, heads: NDArray[np.uint32]) -> None:
        """Write to `heads`, big-endian words of a row each, what follows from the first header.

        Of an IPv4 header, neither identification nor checksum may wrap within the burst.
        """
        self._first_bytes[:] = first
        self._native[:] = self._first
        np.add(self._native, self._steps, out=self._all)
        heads[:] = self._all
