"""Super-packets on their way out: split, sealed and sent, those of one flow several at once.

Bulk traffic comes as super-packets that differ in little but their numbers. What is done once for
all their segments costs the same for four of them as for one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from node.datapath.buffers import LEAD, TAG, Place, packet_buffer
from node.datapath.denials import OUTBOUND
from node.datapath.sealing import RowViews, take_numbers
from node.datapath.segment import Splitter
from node.datapath.superpacket import are_alike, inspect, may_stack
from node.transport.udp import MAX_BURST_BYTES, MAX_SEGMENTS
from node.wireguard.session import padded_length

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from node.datapath.flows import Flow
    from node.datapath.gate import Gate
    from node.datapath.superpacket import SuperPacket
    from node.datapath.virtio import VirtioHeader
    from node.wireguard.device import Device
    from node.wireguard.peer import Peer

_MAX_PACKET = 65535
_OVERHEAD = LEAD + TAG
_MOST_STACKED = 4
"""Few enough to stay in a core's cache until they are sent."""


class Bulk:
    """Takes super-packets as they are read, and sends their segments with `transmit`."""

    def __init__(
        self,
        device: Device,
        gate: Gate,
        transmit: Callable[[Peer, memoryview, int, float], None],
    ) -> None:
        self._device = device
        self._gate = gate
        self._transmit = transmit
        self._view = packet_buffer(_MOST_STACKED * (_MAX_PACKET + _OVERHEAD), Place.SPLIT)
        self._splitter = Splitter(np.frombuffer(self._view, np.uint8))
        self._rows = RowViews(self._view)
        self._stack: list[SuperPacket] = []

    @property
    def waits(self) -> bool:
        """Whether packets that were taken are still needed where they lie."""
        return bool(self._stack)

    def take(self, packet: memoryview, header: VirtioHeader, now: float) -> None:
        """Keep a super-packet if later ones may join it, send it otherwise: see `finish`."""
        source = inspect(packet, header)
        if source is None:
            self._gate.counters.malformed_out += 1
            return
        if self._stack and not (may_stack(source) and are_alike(self._stack[0], source)):
            self.finish(now)
        if (
            not may_stack(source)
            or source.segments * self._stride(source) > MAX_BURST_BYTES
            or self._gate.capture is not None
        ):
            self._send_super(source, now)
            return
        self._stack.append(source)
        if len(self._stack) == _MOST_STACKED:
            self.finish(now)

    def _stride(self, source: SuperPacket) -> int:
        return padded_length(source.segment_bytes, self._device.mtu) + _OVERHEAD

    def finish(self, now: float) -> None:
        """Split, seal and send what was kept: no other packet is waiting, or of another kind."""
        if not self._stack:
            return
        sources, self._stack = self._stack, []
        source, bursts = sources[-1], len(sources)
        if bursts == 1:
            self._send_super(source, now)
            return
        count, size = source.segments, len(source.packet)
        flow = self._gate.admit_outbound(source.packet, bursts * count, bursts * size, now)
        if flow is None:
            return
        peer, stride = flow.peer, self._stride(source)
        session = peer.sending_session(now)
        if session is None or peer.path is None or not self._splitter.fill_all(sources, stride):
            for one in sources:
                self._send_part(one, flow, stride, 0, count, now)
            return
        total = bursts * count
        numbers = take_numbers(session, total)
        self._rows.seal(session.send_cipher, numbers, 0, stride, total)
        self._gate.counters.segments_out += total
        for begin in range(0, total * stride, count * stride):
            burst = self._view[begin : begin + count * stride]
            self._transmit(peer, burst, stride, now)

    def _send_super(self, source: SuperPacket, now: float) -> None:
        size = len(source.packet)
        flow = self._gate.admit_outbound(source.packet, source.segments, size, now)
        if flow is None:
            return
        stride = self._stride(source)
        step = max(1, min(MAX_SEGMENTS, MAX_BURST_BYTES // stride))
        for first in range(0, source.segments, step):
            count = min(step, source.segments - first)
            self._send_part(source, flow, stride, first, count, now)

    def _send_part(
        self, source: SuperPacket, flow: Flow, stride: int, first: int, count: int, now: float
    ) -> None:
        """Split, seal and send some segments of a super-packet."""
        peer = flow.peer
        rows = self._splitter.fill(source, stride, first, count)
        has_last = first + count == source.segments
        last_size = source.last_bytes if has_last else source.segment_bytes
        if self._gate.capture is not None:
            self._capture(rows, source.segment_bytes, last_size)
        session = peer.sending_session(now)
        if session is None or peer.path is None:
            for number, row in enumerate(rows):
                row_size = last_size if number == count - 1 else source.segment_bytes
                self._device.send(peer, row[LEAD : LEAD + row_size].tobytes(), now)
            return
        end = count * stride
        if last_size != source.segment_bytes:
            end += padded_length(last_size, self._device.mtu) + _OVERHEAD - stride
        numbers = take_numbers(session, count)
        self._rows.seal(session.send_cipher, numbers, 0, stride, count, end)
        self._gate.counters.segments_out += count
        self._transmit(peer, self._view[:end], stride, now)

    def _capture(self, rows: NDArray[np.uint8], size: int, last_size: int) -> None:
        capture = self._gate.capture
        if capture is not None:
            for row in rows[:-1]:
                capture.allowed(row[LEAD : LEAD + size].tobytes(), OUTBOUND)
            capture.allowed(rows[-1, LEAD : LEAD + last_size].tobytes(), OUTBOUND)
