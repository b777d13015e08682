"""The common burst, recognised in few passes: equal packets of one flow, each the next.

What bulk traffic looks like after decryption is one run from the first row to the last. To know
that takes a fraction of what `coalesce.find_runs` needs to say where each of several runs begins.
Every test here is stricter than there: a burst that is refused is looked at again by `find_runs`,
one that is accepted would be one run there too.

Numbers that count up are compared with slices of tables, as bytes: numpy's own comparisons cost
a microsecond each before they look at the first element.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from node.datapath.checksum import COUNTING, FALLING, MODULUS, MOST_ROWS, ones_sum, pseudo_sum
from node.datapath.coalesce import varying_mask
from node.datapath.segment import LEAD, TAG, TCP, UDP

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from node.datapath.coalesce import Shape

_ACK = 0x10
_IPV4_HEADER = 20
_MOST_LAYOUTS = 32
_WORD = 4

_COUNTING = COUNTING.tobytes()
_FALLING = FALLING.tobytes()


class _Columns:
    """Columns of the rows of one buffer, for one size of datagram and shape of packet."""

    def __init__(self, array: NDArray[np.uint8], segment: int, shape: Shape) -> None:
        most = min(MOST_ROWS, len(array) // segment)
        rows = array[: most * segment].reshape(most, segment)
        at = LEAD + shape.ip_bytes
        width = -(-shape.length // _WORD) * _WORD
        self.fits = LEAD + width + TAG <= segment
        self.heads = rows[:, LEAD : LEAD + shape.header_bytes].view("<u4")
        self.mask = varying_mask(shape).view("<u4")
        self.identities = rows[:, LEAD + 4 : LEAD + 6].view(">u2")[:, 0]
        self.header_checksums = rows[:, LEAD + 10 : LEAD + 12].view(">u2")[:, 0]
        self.sequences = rows[:, at + 4 : at + 8].view(">u4")[:, 0]
        self.flags = rows[:, at + 13]
        self.padding = rows[:, LEAD + shape.length : LEAD + width] if self.fits else rows[:, :0]
        self.words = rows[:, LEAD : LEAD + width].view("<u4") if self.fits else self.heads
        self.steps = (np.arange(most) * shape.payload).astype(np.uint32)
        self.expected = np.zeros(most, ">u4")


class Trains:
    """Looks at bursts `header 16 | padded packet | tag 16` in one buffer, opened in place."""

    def __init__(self, buffer: memoryview) -> None:
        self._view = buffer
        self._array = np.frombuffer(buffer, np.uint8)
        self._columns: dict[tuple[int, Shape], _Columns] = {}

    def is_train(self, segment: int, count: int, shape: Shape) -> bool:
        """Whether the first `count` rows, of `segment` bytes each, are one run.

        `shape` is that of the first row's packet; `count` is 2 at least and 128 at most. May
        overwrite up to three bytes of padding behind each packet with zeros.
        """
        columns = self._columns_of(segment, shape)
        if not columns.fits:
            return False
        masked = (columns.heads[:count] & columns.mask).tobytes()
        if masked != masked[: shape.header_bytes] * count:
            return False
        first = self._view[LEAD : LEAD + shape.length]
        return (
            (shape.is_ipv6 or _headers_count_up(columns, first, count))
            and (not shape.is_tcp or _sequences_count_up(columns, first, shape, count))
            and _sums_hold(columns, first, shape, count)
        )

    def _columns_of(self, segment: int, shape: Shape) -> _Columns:
        columns = self._columns.get((segment, shape))
        if columns is None:
            if len(self._columns) >= _MOST_LAYOUTS:
                self._columns.clear()
            columns = self._columns[segment, shape] = _Columns(self._array, segment, shape)
        return columns


def _headers_count_up(columns: _Columns, first: memoryview, count: int) -> bool:
    """Whether IPv4 identifications count up by one and every header checksum is right."""
    begin = int.from_bytes(first[4:6], "big") * 2
    wanted = _COUNTING[begin : begin + count * 2]
    if columns.identities[:count].tobytes() != wanted or ones_sum(first[:_IPV4_HEADER]):
        return False
    begin = (MODULUS - 1 - int.from_bytes(first[10:12], "big")) * 2
    # A first checksum of 65535 (for 0) makes the slice empty or wrong: left to the long way.
    wanted = _FALLING[begin : begin + count * 2] if begin >= 0 else b""
    return columns.header_checksums[:count].tobytes() == wanted


def _sequences_count_up(columns: _Columns, first: memoryview, shape: Shape, count: int) -> bool:
    """Whether TCP sequence numbers are contiguous and no row but the last has PSH."""
    at = shape.ip_bytes
    start = np.uint32(int.from_bytes(first[at + 4 : at + 8], "big"))
    expected = columns.expected[:count]
    np.add(columns.steps[:count], start, out=expected)
    return (
        columns.sequences[:count].tobytes() == expected.tobytes()
        and columns.flags[: count - 1].tobytes().count(_ACK) == count - 1
    )


def _sums_hold(columns: _Columns, first: memoryview, shape: Shape, count: int) -> bool:
    """Whether every transport checksum is right; IPv4 header checksums must be."""
    if columns.padding.shape[1]:
        columns.padding[:count] = 0
    sums = np.add.reduce(columns.words[:count], axis=1, dtype=np.int64)
    at = shape.ip_bytes
    protocol = TCP if shape.is_tcp else UDP
    # A right IPv4 header adds nothing; an IPv6 header is all equal, as the mask saw.
    if shape.is_ipv6:
        want = ones_sum(first[:at]) - pseudo_sum(first[8:40], protocol, shape.length - at)
    else:
        want = -pseudo_sum(first[12:20], protocol, shape.length - at)
    sums -= want * 256 % MODULUS
    sums %= MODULUS
    return not np.count_nonzero(sums)
