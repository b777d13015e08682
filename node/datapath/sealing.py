"""AEAD over rows of one buffer, in place, with the slices made once for each row size.

A slice of a memoryview costs a tenth of a microsecond, three of them a row: kept by (position,
stride) they cost nothing. Sizes in use are few; the cache is emptied when they are not.
"""

from __future__ import annotations

from collections import deque
from itertools import repeat
from operator import length_hint
from typing import TYPE_CHECKING

import numpy as np
from cryptography.exceptions import InvalidTag

from node.datapath.segment import LEAD, TAG

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
    from numpy.typing import NDArray

_MOST_ROWS = 128
_MOST_SHAPES = 32

_NO_ASSOCIATED = repeat(None)
_exhaust = deque[object](maxlen=0).extend
"""Runs an iterator to its end without keeping anything."""


class RowViews:
    """Seals and opens rows `header 16 | plaintext | tag 16` that lie behind one another."""

    def __init__(self, buffer: memoryview) -> None:
        self._buffer = buffer
        self._nonces = np.zeros((_MOST_ROWS, 12), np.uint8)
        self._nonce_counters = self._nonces[:, 4:].view("<u8")[:, 0]
        self._nonce_views = [row.data for row in self._nonces]
        self._views: dict[tuple[int, int], tuple[list[memoryview], list[memoryview]]] = {}

    def seal(
        self,
        cipher: ChaCha20Poly1305,
        counters: NDArray[np.uint64],
        at: int,
        stride: int,
        count: int,
        end: int | None = None,
    ) -> None:
        """Encrypt `count` rows; with `end`, the last row ends there, before its stride does."""
        self._nonce_counters[:count] = counters
        full = count if end is None or end == at + count * stride else count - 1
        plaintexts, sealed = self._rows(at, stride, count)
        # The loop over rows runs in C: `map` ends with the shortest of its arguments.
        nonces = self._nonce_views[:full]
        _exhaust(map(cipher.encrypt_into, nonces, plaintexts, _NO_ASSOCIATED, sealed))
        if full < count and end is not None:
            begin = at + full * stride + LEAD
            cipher.encrypt_into(
                self._nonce_views[full],
                self._buffer[begin : end - TAG],
                None,
                self._buffer[begin:end],
            )

    def open(
        self,
        cipher: ChaCha20Poly1305,
        counters: NDArray[np.uint64],
        at: int,
        stride: int,
        count: int,
    ) -> list[int]:
        """Decrypt `count` rows; returns the numbers of those whose tag is wrong."""
        self._nonce_counters[:count] = counters
        plaintexts, sealed = self._rows(at, stride, count)
        wrong: list[int] = []
        start = 0
        while start < count:
            nonces = iter(self._nonce_views[start:count])
            try:
                _exhaust(
                    map(
                        cipher.decrypt_into,
                        nonces,
                        sealed[start:count] if start else sealed,
                        _NO_ASSOCIATED,
                        plaintexts[start:count] if start else plaintexts,
                    )
                )
            except InvalidTag:
                # The iterator stands behind the row that failed: go on from there.
                start = count - length_hint(nonces)
                wrong.append(start - 1)
            else:
                break
        return wrong

    def _rows(self, at: int, stride: int, count: int) -> tuple[list[memoryview], list[memoryview]]:
        """Return plaintexts and sealed texts of at least `count` rows."""
        views = self._views.get((at, stride))
        if views is None:
            if len(self._views) >= _MOST_SHAPES:
                self._views.clear()
            views = self._views[at, stride] = ([], [])
        plaintexts, sealed = views
        for number in range(len(sealed), count):
            begin = at + number * stride + LEAD
            end = begin + stride - LEAD
            plaintexts.append(self._buffer[begin : end - TAG])
            sealed.append(self._buffer[begin:end])
        return views
