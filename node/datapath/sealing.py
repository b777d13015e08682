"""AEAD over rows of one buffer, in place, with the slices made once for each row size.

A slice of a memoryview costs a tenth of a microsecond, three of them a row: kept by (position,
stride) they cost nothing. Sizes in use are few; the cache is emptied when they are not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from cryptography.exceptions import InvalidTag

from node.datapath.segment import LEAD, TAG

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
    from numpy.typing import NDArray

_MOST_ROWS = 128
_MOST_SHAPES = 32

_Views = list[tuple[memoryview, memoryview, memoryview]]


class RowViews:
    """Seals and opens rows `header 16 | plaintext | tag 16` that lie behind one another."""

    def __init__(self, buffer: memoryview) -> None:
        self._buffer = buffer
        self._nonces = np.zeros((_MOST_ROWS, 12), np.uint8)
        self._nonce_counters = self._nonces[:, 4:].view("<u8")[:, 0]
        self._nonce_views = [row.data for row in self._nonces]
        self._views: dict[tuple[int, int], _Views] = {}

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
        encrypt = cipher.encrypt_into
        full = count if end is None or end == at + count * stride else count - 1
        for nonce, plaintext, sealed in self._rows(at, stride, count)[:full]:
            encrypt(nonce, plaintext, None, sealed)
        if full < count and end is not None:
            begin = at + full * stride + LEAD
            encrypt(
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
        decrypt = cipher.decrypt_into
        wrong: list[int] = []
        rows = self._rows(at, stride, count)[:count]
        for number, (nonce, plaintext, sealed) in enumerate(rows):
            try:
                decrypt(nonce, sealed, None, plaintext)
            except InvalidTag:
                wrong.append(number)
        return wrong

    def _rows(self, at: int, stride: int, count: int) -> _Views:
        views = self._views.get((at, stride))
        if views is None:
            if len(self._views) >= _MOST_SHAPES:
                self._views.clear()
            views = self._views[at, stride] = []
        for number in range(len(views), count):
            begin = at + number * stride + LEAD
            end = begin + stride - LEAD
            views.append(
                (
                    self._nonce_views[number],
                    self._buffer[begin : end - TAG],
                    self._buffer[begin:end],
                )
            )
        return views
