"""TCP and UDP super-packets from the kernel into packets of the path's size, all at once.

The rows of one array each hold a segment, `LEAD` bytes in, with room for the tag behind. Header
fields, checksums and payloads of all rows are written by array operations: a segment costs a
fraction of a microsecond whatever its size, IPv4 or IPv6.

Checksums: the row is summed whole, IP header included. An IPv4 header with a right checksum adds
nothing modulo 65535; an IPv6 header adds a constant. What remains is the pseudo-header.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from node.datapath.buffers import LEAD, TAG
from node.datapath.checksum import MODULUS, ones_sum, pseudo_sum, set_ipv4_checksum
from node.datapath.decode import TCP, UDP
from node.datapath.headers import CountingHeads
from node.datapath.virtio import TCP_CSUM_OFFSET, UDP_CSUM_OFFSET

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from node.datapath.superpacket import SuperPacket

    Rows = NDArray[np.uint8]

_IPV4_HEADER = 20
_IPV6_HEADER = 40
_FIN_PSH = 0x09
_CWR = 0x80
_FIN_PSH_CWR = _FIN_PSH | _CWR
_RAMP = np.arange(256, dtype=np.int64)
_MOST_LAYOUTS = 128
_IDENTITIES = 1 << 16


class _Layout:
    """Columns of the rows of one buffer, for one number, size and kind of segment.

    With several `bursts`, each has `count` rows, and all lie behind one another.
    """

    def __init__(
        self, array: Rows, source: SuperPacket, stride: int, count: int, bursts: int
    ) -> None:
        total = count * bursts
        rows = array[: total * stride].reshape(total, stride)
        at, head = LEAD + source.transport_at, LEAD + source.header_bytes
        field = at + (TCP_CSUM_OFFSET if source.is_tcp else UDP_CSUM_OFFSET)
        width = -(-source.segment_bytes // 4) * 4
        behind = LEAD + source.segment_bytes
        self.rows = rows
        self.last_row = memoryview(rows[-1])[LEAD:]
        self.last_rows = [memoryview(row)[LEAD:] for row in rows[count - 1 :: count]]
        """The last of each burst."""
        self.heads = rows[:, LEAD:head].view(">u4")
        firsts = bytearray(bursts * source.header_bytes)
        self.first_bytes = memoryview(firsts)
        self.firsts = np.frombuffer(firsts, ">u4").reshape(bursts, -1)
        self.counting = CountingHeads(
            count,
            source.header_bytes,
            source.transport_at,
            source.gso_size,
            is_ipv6=source.is_ipv6,
            is_tcp=source.is_tcp,
            bursts=bursts,
        )
        self.identities = rows[:, LEAD + 4 : LEAD + 6].view(">u2")[:, 0]
        self.protocols = rows[:, LEAD + 8 : LEAD + 10]
        """IPv4: TTL and protocol, which stand before the header checksum in its word."""
        self.header_checksums = rows[:, LEAD + 10 : LEAD + 12].view(">u2")[:, 0]
        self.other_flags = rows[1:, at + 13] if source.is_tcp else rows[1:, at]
        self.checksums = rows[:, field : field + 2].view("<u2")[:, 0]
        self.words = rows[:, LEAD : LEAD + width].view("<u4")
        self.payloads = rows[:, head:behind]
        self.burst_payloads = [
            self.payloads[begin : begin + count] for begin in range(0, total, count)
        ]
        self.padding = rows[:, behind:]
        self.sums = np.zeros(total, np.int64)
        self.has_padding = stride - TAG > behind or source.segment_bytes % 4 != 0


class Splitter:
    """Splits super-packets into the rows of one buffer.

    Row `n` begins at `n * stride`: 16 bytes for the caller's header, left as they are, the segment,
    zeros up to the tag, and the tag's 16 bytes, left as they are unless the checksum has to run
    over them.
    """

    def __init__(self, array: Rows) -> None:
        self._array = array
        self._layouts: dict[tuple[int, int, int, int, int, bool, bool], _Layout] = {}

    def fill(self, source: SuperPacket, stride: int, first: int, count: int) -> Rows:
        """Write segments `first` to `first + count`; returns the rows.

        `stride` is at least LEAD + segment_bytes + TAG; `count` at most MOST_ROWS and what the
        buffer holds.
        """
        layout = self._layout(source, stride, count, 1)
        has_last = first + count == source.segments
        is_short = has_last and source.last_bytes != source.segment_bytes
        template = _template(source, first)
        layout.first_bytes[:] = template
        layout.counting.write(layout.firsts, layout.heads)
        _copy_payloads(source, layout, first, count - is_short)
        if layout.has_padding:
            layout.padding[:] = 0
        if source.is_tcp and first == 0 and template[source.transport_at + 13] & _CWR:
            layout.other_flags &= ~_CWR & 0xFF
        if not source.is_ipv6:
            _number_around_wrap(layout, template, count)
        if is_short:
            _shorten_last(source, layout)
        if has_last and source.is_tcp:
            flags = source.packet[source.transport_at + 13]
            is_only = source.segments == 1
            layout.last_row[source.transport_at + 13] = flags if is_only else flags & ~_CWR & 0xFF
        _write_checksums(source, layout, is_short=is_short)
        return layout.rows

    def fill_all(self, sources: Sequence[SuperPacket], stride: int) -> bool:
        """Write all segments of super-packets that are alike, behind one another.

        False, and nothing written, when IPv4 numbers wrap within one of them: `fill` can do that.
        """
        source = sources[0]
        head, count, flags_at = source.header_bytes, source.segments, source.transport_at + 13
        layout = self._layout(source, stride, count, len(sources))
        templates = b"".join([_template(one, 0) for one in sources])
        if not source.is_ipv6:
            for begin in range(0, len(templates), head):
                if _wraps(templates[begin : begin + _IPV4_HEADER], count):
                    return False
        layout.first_bytes[:] = templates
        layout.counting.write(layout.firsts, layout.heads)
        shape = (count, source.gso_size)
        for one, payloads, last_row in zip(
            sources, layout.burst_payloads, layout.last_rows, strict=True
        ):
            payloads[:] = np.ndarray(shape, np.uint8, one.packet, head)
            last_row[flags_at] = one.packet[flags_at]
        if layout.has_padding:
            layout.padding[:] = 0
        _write_checksums(source, layout, is_short=False)
        return True

    def _layout(self, source: SuperPacket, stride: int, count: int, bursts: int) -> _Layout:
        key = (
            count,
            bursts,
            stride,
            source.segment_bytes,
            source.header_bytes,
            source.is_ipv6,
            source.is_tcp,
        )
        layout = self._layouts.get(key)
        if layout is None:
            if len(self._layouts) >= _MOST_LAYOUTS:
                self._layouts.clear()
            layout = self._layouts[key] = _Layout(self._array, source, stride, count, bursts)
        return layout


def _template(source: SuperPacket, first: int) -> bytes:
    """Return the headers of segment `first` as if not the last; transport checksum zero."""
    header = bytearray(source.packet[: source.header_bytes])
    at, length = source.transport_at, source.segment_bytes
    if source.is_ipv6:
        header[4:6] = (length - _IPV6_HEADER).to_bytes(2, "big")
    else:
        identity = (header[4] << 8 | header[5]) + first & 0xFFFF
        header[2:6] = (length << 16 | identity).to_bytes(4, "big")
        set_ipv4_checksum(header, at)
    if source.is_tcp:
        if first:
            sequence = int.from_bytes(header[at + 4 : at + 8], "big") + first * source.gso_size
            header[at + 4 : at + 8] = (sequence & 0xFFFFFFFF).to_bytes(4, "big")
        header[at + 13] &= ~_FIN_PSH_CWR & 0xFF if first else ~_FIN_PSH & 0xFF
        header[at + 16] = header[at + 17] = 0
    else:
        header[at + 4 : at + 8] = (length - at << 16).to_bytes(4, "big")
    return bytes(header)


def _copy_payloads(source: SuperPacket, layout: _Layout, first: int, full: int) -> None:
    """Copy the payloads of the rows that have a whole one."""
    size = source.gso_size
    at = source.header_bytes + first * size
    if full == len(layout.payloads):
        layout.payloads[:] = np.ndarray((full, size), np.uint8, source.packet, at)
    elif full:
        layout.payloads[:full] = np.ndarray((full, size), np.uint8, source.packet, at)


def _wraps(template: bytes, count: int) -> bool:
    """Whether identification or header checksum wrap in `count` IPv4 segments from this one."""
    identity, checksum = template[4] << 8 | template[5], template[10] << 8 | template[11]
    return identity + count > _IDENTITIES or count > checksum


def _number_around_wrap(layout: _Layout, template: bytes, count: int) -> None:
    """Write IPv4 identifications and header checksums again if they wrap within the rows."""
    if not _wraps(template, count):
        return
    identity, checksum = template[4] << 8 | template[5], template[10] << 8 | template[11]
    identities = _RAMP[:count] + identity & 0xFFFF
    layout.identities[:] = identities
    # A checksum that went below zero borrowed from what stands before it.
    layout.protocols[:] = np.frombuffer(template, np.uint8, 2, 8)
    # 65535 and 0 add the same.
    layout.header_checksums[:] = (checksum + identity - identities) % MODULUS


def _shorten_last(source: SuperPacket, layout: _Layout) -> None:
    """Give the last row its own length and payload."""
    at, length = source.transport_at, source.last_bytes
    last = layout.last_row
    payload = source.packet[len(source.packet) - (length - source.header_bytes) :]
    last[source.header_bytes : length] = payload
    last[length:] = bytes(len(last) - length)
    if not source.is_tcp:
        last[at + 4 : at + 6] = (length - at).to_bytes(2, "big")
    if source.is_ipv6:
        last[4:6] = (length - _IPV6_HEADER).to_bytes(2, "big")
    else:
        last[2:4] = length.to_bytes(2, "big")
        set_ipv4_checksum(last, at)


def _write_checksums(source: SuperPacket, layout: _Layout, *, is_short: bool) -> None:
    sums = layout.sums
    np.add.reduce(layout.words, axis=1, dtype=np.int64, out=sums)
    if is_short and not source.is_ipv6:
        # The IPv6 pseudo-header and header hold the length once each: it cancels out.
        sums[-1] += (source.last_bytes - source.segment_bytes) * 256
    np.subtract(-_correction(source, source.segment_bytes), sums, out=sums)
    np.remainder(sums, MODULUS, out=sums)
    if not source.is_tcp:
        sums[sums == 0] = MODULUS
    layout.checksums[:] = sums


def _correction(source: SuperPacket, length: int) -> int:
    """Pseudo-header less IP header, for rows that are summed as little-endian words."""
    packet, at = source.packet, source.transport_at
    protocol = TCP if source.is_tcp else UDP
    if not source.is_ipv6:
        return pseudo_sum(packet[12:20], protocol, length - at) * 256 % MODULUS
    header = ones_sum(packet[:at]) - int.from_bytes(packet[4:6], "big") + length - _IPV6_HEADER
    return (pseudo_sum(packet[8:40], protocol, length - at) - header) * 256 % MODULUS
