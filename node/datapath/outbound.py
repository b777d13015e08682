"""From the TUN device to the network, in batches.

Packets are read into an arena where each already stands where its transport message will: 16
bytes for the message's header (the virtio header is read into their end), the packet, padding, and
room for the tag. Sealing is in place, and rows of one size behind one another go out in one call.

    | virtio header in the last 10 of 16 bytes | packet | padding | tag | next row ...

Super-packets stay in the arena until `bulk` has split and sent them.
"""

from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING

import numpy as np

from node.datapath.budget import Budget
from node.datapath.buffers import LEAD, TAG, Place, packet_buffer
from node.datapath.bulk import Bulk
from node.datapath.checksum import MODULUS, complete_checksum
from node.datapath.decode import TCP, UDP
from node.datapath.denials import OUTBOUND
from node.datapath.sealing import RowViews, take_numbers
from node.datapath.virtio import HEADER_BYTES, NEEDS_CSUM, UDP_CSUM_OFFSET, VirtioHeader
from node.transport.udp import MAX_BURST_BYTES, MAX_SEGMENTS
from node.wireguard.messages import MessageType
from node.wireguard.session import padded_length

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from node.datapath.contract import Carrier
    from node.datapath.gate import Gate
    from node.wireguard.device import Device
    from node.wireguard.peer import Peer

_MAX_PACKET = 65535
_READS = 64
_SUPER_PACKETS = 8
_OVERHEAD = LEAD + TAG
_ARENA_ROWS_BYTES = 1 << 18
_VIRTIO_AT = LEAD - HEADER_BYTES
_ALIKE_PAYS = 4
_GSO_TYPE_BITS = 0x7F
_COUNTED = frozenset({TCP, UDP})
"""What the gate takes many of by the header of one."""

_HEADER = struct.Struct("<IIQ")

# Bytes that make two packets of equal length one flow's, counted from the virtio header on: that
# header, then version, protocol, fragment bits, addresses, ports, TCP flags.
_ALIKE_V4 = np.zeros(HEADER_BYTES + 40, np.uint8)
_ALIKE_V6 = np.zeros(HEADER_BYTES + 60, np.uint8)
for _mask, _columns in (
    (_ALIKE_V4, (0, 6, 7, 9, *range(12, 24), 33)),
    (_ALIKE_V6, (0, 6, *range(8, 44), 53)),
):
    _mask[:HEADER_BYTES] = 255
    _mask[[HEADER_BYTES + column for column in _columns]] = 255


class Outbound:
    """Reads, judges, seals and sends the host's packets."""

    def __init__(self, tun_fd: int, device: Device, gate: Gate, carrier: Carrier) -> None:
        self._fd = tun_fd
        self._device = device
        self._gate = gate
        self._carrier = carrier
        self._view = packet_buffer(_ARENA_ROWS_BYTES + _OVERHEAD + _MAX_PACKET, Place.READ)
        self._array = np.frombuffer(self._view, np.uint8)
        self._arena_rows = RowViews(self._view)
        self._bulk = Bulk(device, gate, self._transmit)
        self._budget = Budget(_READS)
        # Sealed rows that wait to be sent together.
        self._span_peer: Peer | None = None
        self._span_start = 0
        self._span_end = 0
        self._span_segment = 0
        self._span_count = 0

    def pump(self, now: float) -> bool:
        """Send what waits, up to a budget; True when there may be more."""
        view, fd, bulk = self._view, self._fd, self._bulk
        mtu = self._device.mtu
        rows: list[tuple[int, int]] = []
        at, super_packets, small, more = 0, 0, 0, True
        for _ in range(_READS):
            try:
                begin = at + _VIRTIO_AT
                size = os.readv(fd, (view[begin : begin + HEADER_BYTES + _MAX_PACKET],))
            except OSError:
                # Nothing there, or the interface is down.
                more = False
                break
            size -= HEADER_BYTES
            # One of the two is empty, so that packets leave in order.
            if view[begin + 1] & _GSO_TYPE_BITS:
                if rows:
                    self._send_rows(rows, now)
                    rows.clear()
                header = VirtioHeader.unpack_from(view, begin)
                bulk.take(view[at + LEAD : at + LEAD + size], header, now)
                super_packets += 1
                if super_packets == _SUPER_PACKETS:
                    break
                at = at + _OVERHEAD + size if bulk.waits else 0
            else:
                bulk.finish(now)
                rows.append((at, size))
                at += _OVERHEAD + padded_length(size, mtu)
                small += 1
                if small == self._budget.next:
                    break
            if at > _ARENA_ROWS_BYTES:
                break
        bulk.finish(now)
        if rows:
            self._send_rows(rows, now)
        self._budget.settle(small, now, is_empty=not more)
        return more

    # Packets as they are.

    def _send_rows(self, rows: list[tuple[int, int]], now: float) -> None:
        first, total = 0, len(rows)
        while first < total:
            at, size = rows[first]
            after = first + 1
            while after < total and rows[after][1] == size:
                after += 1
            count = after - first
            if count < _ALIKE_PAYS or not self._send_alike(at, size, count, now):
                for row_at, row_size in rows[first:after]:
                    self._send_row(row_at, row_size, now)
            first = after
        self._flush(now)

    def _send_row(self, at: int, size: int, now: float) -> None:
        begin = at + LEAD
        packet = self._view[begin : begin + size]
        if self._view[at + _VIRTIO_AT] & NEEDS_CSUM:
            header = VirtioHeader.unpack_from(self._view, at + _VIRTIO_AT)
            if not complete_checksum(packet, header):
                self._gate.counters.malformed_out += 1
                return
        flow = self._gate.admit_outbound(packet, 1, size, now) if size else None
        if flow is None:
            return
        if self._gate.capture is not None:
            self._gate.capture.allowed(packet, OUTBOUND)
        peer = flow.peer
        session = peer.sending_session(now)
        if session is None or peer.path is None:
            self._device.send(peer, bytes(packet), now)
            return
        padded = padded_length(size, self._device.mtu)
        self._view[begin + size : begin + padded] = bytes(padded - size)
        counter = session.send_counter
        session.send_counter = counter + 1
        _HEADER.pack_into(self._view, at, MessageType.TRANSPORT, session.remote_index, counter)
        session.send_cipher.encrypt_into(
            b"\0\0\0\0" + counter.to_bytes(8, "little"),
            self._view[begin : begin + padded],
            None,
            self._view[begin : begin + padded + TAG],
        )
        self._gate.counters.segments_out += 1
        self._extend_span(peer, at, padded + _OVERHEAD, now)

    def _extend_span(self, peer: Peer, at: int, size: int, now: float) -> None:
        """Send a sealed row together with those before it, if it can be."""
        if (
            peer is not self._span_peer
            or at != self._span_end
            or size > self._span_segment
            or self._span_count == MAX_SEGMENTS
            or at + size - self._span_start > MAX_BURST_BYTES
        ):
            self._flush(now)
            self._span_peer, self._span_start, self._span_segment = peer, at, size
            self._span_count = 0
        self._span_end = at + size
        self._span_count += 1
        if size < self._span_segment:
            self._flush(now)

    def _flush(self, now: float) -> None:
        peer, self._span_peer = self._span_peer, None
        if peer is not None:
            burst = self._view[self._span_start : self._span_end]
            self._transmit(peer, burst, self._span_segment, now)

    def _send_alike(self, at: int, size: int, count: int, now: float) -> bool:
        """Seal and send rows of equal size all at once; False when they are not one flow's."""
        stride = padded_length(size, self._device.mtu) + _OVERHEAD
        rows = self._array[at : at + count * stride].reshape(count, stride)
        mask, protocol = (_ALIKE_V4, 9) if rows[0, LEAD] == 0x45 else (_ALIKE_V6, 6)
        # Of other protocols each packet may say something of its own that the gate has to see.
        if self._view[at + LEAD + protocol] not in _COUNTED:
            return False
        if len(mask) - HEADER_BYTES > size or not _are_alike(rows, mask):
            return False
        rows[:, LEAD + size : stride] = 0
        if rows[0, _VIRTIO_AT] & NEEDS_CSUM and not self._complete_alike(rows, at, size):
            return False
        last = at + (count - 1) * stride + LEAD
        flow = self._gate.admit_outbound(self._view[last : last + size], count, count * size, now)
        if flow is None:
            return True
        self._flush(now)
        if self._gate.capture is not None:
            for row in rows:
                self._gate.capture.allowed(row[LEAD : LEAD + size].tobytes(), OUTBOUND)
        session = flow.peer.sending_session(now)
        if session is None or flow.peer.path is None:
            for row in rows:
                self._device.send(flow.peer, row[LEAD : LEAD + size].tobytes(), now)
            return True
        numbers = take_numbers(session, count)
        self._arena_rows.seal(session.send_cipher, numbers, at, stride, count)
        self._gate.counters.segments_out += count
        whole = min(MAX_SEGMENTS, MAX_BURST_BYTES // stride) * stride
        for begin in range(at, at + count * stride, whole):
            end = min(begin + whole, at + count * stride)
            self._transmit(flow.peer, self._view[begin:end], stride, now)
        return True

    def _complete_alike(self, rows: NDArray[np.uint8], at: int, size: int) -> bool:
        header = VirtioHeader.unpack_from(self._view, at + _VIRTIO_AT)
        begin, field = LEAD + header.csum_start, LEAD + header.csum_start + header.csum_offset
        end = LEAD + size + (size - header.csum_start) % 2
        if field + 2 > end:
            return False
        sums = rows[:, begin:end].view("<u2").sum(axis=1, dtype=np.uint64)
        checks = np.uint64(MODULUS) - sums % np.uint64(MODULUS)
        if header.csum_offset != UDP_CSUM_OFFSET:
            checks %= np.uint64(MODULUS)
        rows[:, field : field + 2].view("<u2")[:, 0] = checks
        return True

    # Sealing and sending.

    def _transmit(self, peer: Peer, burst: memoryview, segment: int, now: float) -> None:
        if peer.path is None:
            return
        self._gate.counters.send_errors += self._carrier.send(peer.path, burst, segment)
        self._device.note_sent(peer, len(burst), now)


def _are_alike(rows: NDArray[np.uint8], mask: NDArray[np.uint8]) -> bool:
    heads = rows[:, _VIRTIO_AT : _VIRTIO_AT + len(mask)]
    return not ((heads ^ heads[0]) & mask).any()
