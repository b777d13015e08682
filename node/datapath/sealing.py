"""AEAD over rows of one buffer, in place, with slices made once for a size and number of rows.

A slice of a memoryview costs a tenth of a microsecond, three of them a row: kept by (position,
stride, count) they cost nothing. Those in use are few; the cache is emptied when they are not.
"""

from __future__ import annotations

from collections import deque
from itertools import repeat
from operator import length_hint
from typing import TYPE_CHECKING

import numpy as np
from cryptography.exceptions import InvalidTag

from node.datapath.buffers import LEAD, TAG
from node.wireguard.messages import MessageType

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
    from numpy.typing import NDArray

    from node.wireguard.session import Session

MOST_ROWS = 256
_MOST_SHAPES = 128

_NO_ASSOCIATED = repeat(None)
_exhaust = deque[object](maxlen=0).extend
"""Runs an iterator to its end without keeping anything."""


class Rows:
    """Views of `count` rows, and the nonces for them."""

    def __init__(
        self,
        buffer: memoryview,
        nonces: tuple[NDArray[np.uint8], list[memoryview]],
        where: tuple[int, int, int],
    ) -> None:
        at, stride, count = where
        array, nonce_views = nonces
        begins = range(at + LEAD, at + count * stride, stride)
        self.sealed = [buffer[begin : begin + stride - LEAD] for begin in begins]
        self.plaintexts = [sealed[:-TAG] for sealed in self.sealed]
        self.nonces = nonce_views[:count]
        self.nonce_counters = array[:count, 4:].view("<u8")[:, 0]
        rows = np.frombuffer(buffer, np.uint8, count * stride, at).reshape(count, stride)
        self.heads = rows[:, :LEAD].view("<u8")
        self.receivers = self.heads[:, 0]
        """Message type and receiver's index, as one number."""
        self.counters = self.heads[:, 1]
        self.first_head = np.zeros(2, np.uint64)
        self.ramp = np.zeros((count, 2), np.uint64)
        self.ramp[:, 1] = np.arange(count)

    def number(self, head: int, first: int) -> None:
        """Write message headers that begin with `head` and count from `first`, and the nonces."""
        self.first_head[0], self.first_head[1] = head, first
        np.add(self.first_head, self.ramp, out=self.heads)
        self.nonce_counters[:] = self.counters

    def read_numbers(self) -> bool:
        """Take the nonces from the message headers; whether they count up by one."""
        first = self.counters[0]
        np.add(first, self.ramp[:, 1], out=self.nonce_counters)
        counters = self.counters.tobytes()
        if counters == self.nonce_counters.tobytes():
            return True
        self.nonce_counters[:] = self.counters
        return False

    def are_alike(self) -> bool:
        """Whether all are messages of one type to one receiver."""
        receivers = self.receivers.tobytes()
        return receivers == receivers[:8] * len(self.sealed)


class RowViews:
    """Seals and opens rows `header 16 | plaintext | tag 16` that lie behind one another.

    The header is a transport message's: type and receiver 8 bytes, counter 8 bytes.
    """

    def __init__(self, buffer: memoryview) -> None:
        self._buffer = buffer
        nonces = np.zeros((MOST_ROWS, 12), np.uint8)
        self._nonces = nonces, [row.data for row in nonces]
        self._views: dict[tuple[int, int, int], Rows] = {}

    def seal(
        self,
        cipher: ChaCha20Poly1305,
        numbers: tuple[int, int],
        at: int,
        stride: int,
        count: int,
        end: int | None = None,
    ) -> None:
        """Write the headers of `count` rows and encrypt them.

        `numbers` are type and receiver as one little-endian number, and the first counter. With
        `end`, the last row ends there, before its stride does.
        """
        rows = self.rows(at, stride, count)
        rows.number(*numbers)
        if end is None or end == at + count * stride:
            # The loop over rows runs in C: `map` ends with the shortest of its arguments.
            _exhaust(
                map(cipher.encrypt_into, rows.nonces, rows.plaintexts, _NO_ASSOCIATED, rows.sealed)
            )
            return
        full = count - 1
        _exhaust(
            map(
                cipher.encrypt_into,
                rows.nonces[:full],
                rows.plaintexts,
                _NO_ASSOCIATED,
                rows.sealed,
            )
        )
        begin = at + full * stride + LEAD
        cipher.encrypt_into(
            rows.nonces[full], self._buffer[begin : end - TAG], None, self._buffer[begin:end]
        )

    def open(self, cipher: ChaCha20Poly1305, rows: Rows) -> list[int]:
        """Decrypt rows whose nonces were read; returns the numbers of those with a wrong tag."""
        count = len(rows.sealed)
        wrong: list[int] = []
        start = 0
        while start < count:
            nonces = iter(rows.nonces[start:] if start else rows.nonces)
            try:
                _exhaust(
                    map(
                        cipher.decrypt_into,
                        nonces,
                        rows.sealed[start:] if start else rows.sealed,
                        _NO_ASSOCIATED,
                        rows.plaintexts[start:] if start else rows.plaintexts,
                    )
                )
            except InvalidTag:
                # The iterator stands behind the row that failed: go on from there.
                start = count - length_hint(nonces)
                wrong.append(start - 1)
            else:
                break
        return wrong

    def rows(self, at: int, stride: int, count: int) -> Rows:
        """Return the views of `count` rows, made when they are first asked for."""
        where = (at, stride, count)
        rows = self._views.get(where)
        if rows is None:
            if len(self._views) >= _MOST_SHAPES:
                self._views.clear()
            rows = self._views[where] = Rows(self._buffer, self._nonces, where)
        return rows


def take_numbers(session: Session, count: int) -> tuple[int, int]:
    """Return how `count` message headers begin, and the first counter: nobody else has them."""
    first = session.send_counter
    session.send_counter = first + count
    return MessageType.TRANSPORT | session.remote_index << 32, first
