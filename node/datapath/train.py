"""The common burst, recognised and joined in few passes: equal packets of one flow, each the next.

Bursts of one size that wait behind one another are looked at together, if they are one flow's.

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

from node.datapath.buffers import LEAD, TAG, Place, packet_buffer
from node.datapath.checksum import MODULUS, ones_sum, pseudo_sum
from node.datapath.coalesce import write_super_header
from node.datapath.decode import TCP, UDP
from node.datapath.headers import CountingHeads
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
        joined: memoryview,
        segment: int,
        counts: tuple[int, int],
        shape: Shape,
    ) -> None:
        count, bursts = counts
        total = count * bursts
        rows = array[: total * segment].reshape(total, segment)
        at, head = shape.ip_bytes, shape.header_bytes
        field = at + (TCP_CSUM_OFFSET if shape.is_tcp else UDP_CSUM_OFFSET)
        width = -(-shape.length // _WORD) * _WORD
        self.fits = LEAD + width + TAG <= segment
        """Whether whole words may be summed without touching the next row."""
        self.heads = rows[:, LEAD : LEAD + head]
        self.firsts = self.heads[::count].view(">u4")
        self.checksums = rows[:, LEAD + field : LEAD + field + 2].view("<u2")[:, 0]
        self.padding = rows[:, LEAD + shape.length : LEAD + width] if self.fits else rows[:, :0]
        self.has_padding = self.padding.shape[1] > 0
        self.words = rows[:, LEAD : LEAD + width].view("<u4") if self.fits else rows
        self.sums = np.zeros(total, np.int64)
        # The headers that the rows should have.
        expected = np.zeros((total, head), np.uint8)
        self.expected = expected
        self.expected_words = expected.view(">u4")
        self.expected_checksums = expected[:, field : field + 2].view("<u2")[:, 0]
        self.counting = CountingHeads(
            count,
            head,
            at,
            shape.payload,
            is_ipv6=shape.is_ipv6,
            is_tcp=shape.is_tcp,
            bursts=bursts,
        )
        # Payloads, and where those of the joined packets go.
        places = (bursts, count, shape.payload)
        self.payloads = rows[:, LEAD + head : LEAD + shape.length].reshape(places)
        size = HEADER_BYTES + head + count * shape.payload
        self.joined_payloads = np.ndarray(
            places, np.uint8, joined, HEADER_BYTES + head, (size, shape.payload, 1)
        )
        self.joined = [joined[n * size : (n + 1) * size] for n in range(bursts)]
        # Where the first packet of each burst begins, and where the last row has its TCP flags.
        self.begins = [n * count * segment + LEAD for n in range(bursts)]
        flags_at = LEAD + at + 13
        self.last_flags = [
            (row, row * segment + flags_at) for row in range(count - 1, total, count)
        ]


class Trains:
    """Looks at bursts `header 16 | padded packet | tag 16` in one buffer, opened in place."""

    def __init__(self, buffer: memoryview) -> None:
        self._view = buffer
        self._array = np.frombuffer(buffer, np.uint8)
        self._joined = packet_buffer(HEADER_BYTES + len(buffer), Place.JOINED)
        self._columns: dict[tuple[int, int, int, Shape], _Columns] = {}

    def are_trains(self, segment: int, count: int, bursts: int, shape: Shape) -> bool:
        """Whether each of `bursts` times `count` rows of `segment` bytes is one run of one flow.

        `shape` is that of the first row's packet; `count` is 2 at least. May overwrite up to three
        bytes of padding behind each packet with zeros.
        """
        columns = self._columns_of(segment, count, bursts, shape)
        view = self._view
        first = view[LEAD : LEAD + shape.length]
        flags_at = shape.ip_bytes + 13
        if not columns.fits:
            return False
        for begin in columns.begins:
            head = view[begin : begin + shape.header_bytes]
            if shape.is_tcp and head[flags_at] != _ACK:
                return False
            if not shape.is_ipv6 and not _may_count_up(head, count):
                return False
            if begin != LEAD and not _is_flow_of(head, first, shape):
                return False
        expected = columns.expected
        columns.counting.write(columns.firsts, columns.expected_words)
        if shape.is_tcp:
            # The last row of a burst alone may have PSH.
            for row, at in columns.last_flags:
                expected[row, flags_at] = _ACK | view[at] & _PSH
        columns.expected_checksums[:] = columns.checksums
        return expected.tobytes() == columns.heads.tobytes() and _sums_hold(columns, first, shape)

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
        columns = self._columns_of(segment, count, 1, shape)
        columns.joined_payloads[:] = columns.payloads
        packet = joined[HEADER_BYTES:]
        packet[:head] = self._view[LEAD : LEAD + head]
        if follower:
            packet[total : total + len(follower)] = follower
            total += len(follower)
        joined[:HEADER_BYTES] = write_super_header(packet, shape, total, has_psh=has_psh).pack()
        return joined[: HEADER_BYTES + total]

    def join_each(self, segment: int, count: int, bursts: int, shape: Shape) -> list[memoryview]:
        """Return trains as super-packets behind their virtio headers; valid until the next call."""
        columns = self._columns_of(segment, count, bursts, shape)
        columns.joined_payloads[:] = columns.payloads
        head = shape.header_bytes
        for joined, begin, (_, flags_at) in zip(
            columns.joined, columns.begins, columns.last_flags, strict=True
        ):
            packet = joined[HEADER_BYTES:]
            packet[:head] = self._view[begin : begin + head]
            has_psh = shape.is_tcp and bool(self._view[flags_at] & _PSH)
            joined[:HEADER_BYTES] = write_super_header(
                packet, shape, len(packet), has_psh=has_psh
            ).pack()
        return columns.joined

    def _columns_of(self, segment: int, count: int, bursts: int, shape: Shape) -> _Columns:
        key = (segment, count, bursts, shape)
        columns = self._columns.get(key)
        if columns is None:
            if len(self._columns) >= _MOST_LAYOUTS:
                self._columns.clear()
            columns = _Columns(self._array, self._joined, segment, (count, bursts), shape)
            self._columns[key] = columns
        return columns


def _may_count_up(first: memoryview, count: int) -> bool:
    """Whether an IPv4 header is right, and its numbers do not wrap within the burst."""
    return (
        not ones_sum(first[:_IPV4_HEADER])
        and (first[4] << 8 | first[5]) + count <= _IDENTITIES
        and count <= (first[10] << 8 | first[11]) < MODULUS
    )


def _is_flow_of(head: memoryview, first: memoryview, shape: Shape) -> bool:
    """Whether a header is of the same flow and shape as the first one's packet."""
    if shape.is_ipv6:
        is_same = head[:44] == first[:44]
    else:
        is_same = (
            head[12:24] == first[12:24] and head[:4] == first[:4] and head[6:10] == first[6:10]
        )
    at = shape.ip_bytes
    if shape.is_tcp:
        return is_same and head[at + 12] == first[at + 12]
    return is_same and head[at + 4 : at + 6] == first[at + 4 : at + 6]


def _sums_hold(columns: _Columns, first: memoryview, shape: Shape) -> bool:
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
    return sums.tobytes() == (want * 256 % MODULUS).to_bytes(8, sys.byteorder) * len(sums)
