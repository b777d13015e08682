"""Headers of segments that follow one another, all from the first one's.

Between a segment and the next, three numbers change: the IPv4 identification goes up by one, so
the IPv4 header checksum goes down by one, and the TCP sequence number goes up by the payload. As
32-bit words in the machine's byte order that is one addition for a whole burst, or for several
alike; what a numpy call costs before it touches the first element is more than the work itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_WORD = 4


class CountingHeads:
    """Writes the headers of bursts of `count` segments, each with `payload` bytes behind it."""

    def __init__(
        self,
        count: int,
        header_bytes: int,
        transport_at: int,
        payload: int,
        *,
        is_ipv6: bool,
        is_tcp: bool,
        bursts: int = 1,
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
        self._native = np.zeros((bursts, 1, words), np.uint32)
        self._firsts = self._native[:, 0]
        self._all = np.zeros((bursts, count, words), np.uint32)
        self._rows = self._all.reshape(bursts * count, words)

    def write(self, firsts: NDArray[np.uint32], heads: NDArray[np.uint32]) -> None:
        """Write to `heads` what follows from the first header of each burst.

        Both are big-endian words, a header a row: `firsts` has one row a burst, `heads` all of
        them. Of an IPv4 header, neither identification nor checksum may wrap within a burst.
        """
        self._firsts[:] = firsts
        np.add(self._native, self._steps, out=self._all)
        heads[:] = self._rows
