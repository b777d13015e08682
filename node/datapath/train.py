"""The common burst, recognised and joined in few passes: equal packets of one flow, each the next.

What bulk traffic looks like after decryption is one run from the first row to the last. To know
that takes a fraction of what `coalesce.find_runs` needs to say where each of several runs begins.
Every test here is stricter than there: a burst that is refused is looked at again by `find_runs`,
one that is accepted would be one run there too.

The headers that a train must have follow from its first: they are written out and compared as
bytes, all at once. numpy's own comparisons cost a microsecond each before they look at the first
element.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import numpy as np

from node.datapath.checksum import MODULUS, ones_sum, pseudo_sum
from node.datapath.coalesce import write_super_header
from node.datapath.headers import CountingHeads
from node.datapath.segment import LEAD, TAG, TCP, UDP
from node.datapath.virtio import HEADER_BYTES, TCP_CSUM_OFFSET, UDP_CSUM_OFFSET

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from node.datapath.coalesce import Shape

_ACK = 0x10
_PSH = 0x08
_IPV4_HEADER = 20
_IDENTITIES = 1 << 16
_MOST_LAYOUTS = 128
_WORD = 4


class _Columns:
    """Columns of rows of one buffer, for one size of datagram, number and shape of packets."""

    def __init__(
        self,
        array: NDArray[np.uint8],
        joined: NDArray[np.uint8],
        segment: int,
        count: int,
        shape: Shape,
    ) -> None:
        rows = array[: count * segment].reshape(count, segment)
        at, head = shape.ip_bytes, shape.header_bytes
        field = at + (TCP_CSUM_OFFSET if shape.is_tcp else UDP_CSUM_OFFSET)
        width = -(-shape.length // _WORD) * _WORD
        self.fits = LEAD + width + TAG <= segment
        """Whether whole words may be summed without touching the next row."""
        self.heads = rows[:, LEAD : LEAD + head]
        self.checksums = rows[:, LEAD + field : LEAD + field + 2].view("<u2")[:, 0]
        self.padding = rows[:, LEAD + shape.length : LEAD + width] if self.fits else rows[:, :0]
        self.has_padding = self.padding.shape[1] > 0
        self.words = rows[:, LEAD : LEAD + width].view("<u4") if self.fits else rows
        self.payloads = rows[:, LEAD + head : LEAD + shape.length]
        self.sums = np.zeros(count, np.int64)
        # The headers that the rows should have.
        expected = np.zeros((count, head), np.uint8)
        self.expected = expected
        self.expected_words = expected.view(">u4")
        self.expected_checksums = expected[:, field : field + 2].view("<u2")[:, 0]
        self.counting = CountingHeads(
            count, head, at, shape.payload, is_ipv6=shape.is_ipv6, is_tcp=shape.is_tcp
        )
        # Where the payloads of the joined packet go.
        begin = HEADER_BYTES + head
        self.joined = joined[begin : begin + count * shape.payload].reshape(count, shape.payload)


class Trains:
    """Looks at bursts `header 16 | padded packet | tag 16` in one buffer, opened in place."""

    def __init__(self, buffer: memoryview) -> None:
        self._view = buffer
        self._array = np.frombuffer(buffer, np.uint8)
        self._joined = memoryview(bytearray(HEADER_BYTES + len(buffer)))
        self._joined_array = np.frombuffer(self._joined, np.uint8)
        self._columns: dict[tuple[int, int, Shape], _Columns] = {}

    def is_train(self, segment: int, count: int, shape: Shape) -> bool:
        """Whether the first `count` rows, of `segment` bytes each, are one run.

        `shape` is that of the first row's packet; `count` is 2 at least and 128 at most. May
        overwrite up to three bytes of padding behind each packet with zeros.
        """
        columns = self._columns_of(segment, count, shape)
        if not columns.fits:
            return False
        first = self._view[LEAD : LEAD + shape.length]
        flags_at = shape.ip_bytes + 13
        if shape.is_tcp and first[flags_at] != _ACK:
            return False
        if not shape.is_ipv6 and not _may_count_up(first, count):
            return False
        expected = columns.expected
        columns.counting.write(first[: shape.header_bytes], columns.expected_words)
        if shape.is_tcp:
            # The last row alone may have PSH.
            last = LEAD + (count - 1) * segment + flags_at
            expected[-1, flags_at] = _ACK | self._view[last] & _PSH
        columns.expected_checksums[:] = columns.checksums
        return expected.tobytes() == columns.heads.tobytes() and _sums_hold(
            columns, first, shape, count
        )

    def join(
        self, segment: int, count: int, shape: Shape, follower: memoryview, *, has_psh: bool
    ) -> memoryview:
        """Return a train as one super-packet behind its virtio header; valid until the next call.

        `follower` is the payload of a packet that joins behind, perhaps empty; `has_psh` tells of
        the last packet.
        """
        joined = self._joined
        head = shape.header_bytes
        total = head + count * shape.payload
        columns = self._columns_of(segment, count, shape)
        columns.joined[:] = columns.payloads
        packet = joined[HEADER_BYTES:]
        packet[:head] = self._view[LEAD : LEAD + head]
        if follower:
            packet[total : total + len(follower)] = follower
            total += len(follower)
        joined[:HEADER_BYTES] = write_super_header(packet, shape, total, has_psh=has_psh).pack()
        return joined[: HEADER_BYTES + total]

    def _columns_of(self, segment: int, count: int, shape: Shape) -> _Columns:
        key = (segment, count, shape)
        columns = self._columns.get(key)
        if columns is None:
            if len(self._columns) >= _MOST_LAYOUTS:
                self._columns.clear()
            columns = _Columns(self._array, self._joined_array, segment, count, shape)
            self._columns[key] = columns
        return columns


def _may_count_up(first: memoryview, count: int) -> bool:
    """Whether an IPv4 header is right, and its numbers do not wrap within the burst."""
    return (
        not ones_sum(first[:_IPV4_HEADER])
        and (first[4] << 8 | first[5]) + count <= _IDENTITIES
        and count <= (first[10] << 8 | first[11]) < MODULUS
    )


def _sums_hold(columns: _Columns, first: memoryview, shape: Shape, count: int) -> bool:
    """Whether every transport checksum is right; IPv4 header checksums must be."""
    if columns.has_padding:
        columns.padding[:] = 0
    sums = columns.sums
    np.add.reduce(columns.words, axis=1, dtype=np.int64, out=sums)
    np.remainder(sums, MODULUS, out=sums)
    at = shape.ip_bytes
    protocol = TCP if shape.is_tcp else UDP
    # A right IPv4 header adds nothing; an IPv6 header is all equal, as was seen.
    if shape.is_ipv6:
        want = ones_sum(first[:at]) - pseudo_sum(first[8:40], protocol, shape.length - at)
    else:
        want = -pseudo_sum(first[12:20], protocol, shape.length - at)
    return sums.tobytes() == (want * 256 % MODULUS).to_bytes(8, sys.byteorder) * count
