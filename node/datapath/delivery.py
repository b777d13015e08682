"""Decrypted packets to the TUN device: judged, joined where the kernel takes it, and written.

A burst that is one train is judged once and written with one call, and several of one flow are
judged together. What is not goes in runs, or packet by packet; a rare kernel that refuses a group
gets its packets one by one.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import numpy as np

from node.datapath.buffers import LEAD, TAG
from node.datapath.coalesce import Run, find_runs, joins, shape_of, write_super_header
from node.datapath.denials import INBOUND
from node.datapath.train import Trains
from node.datapath.tun import Offloads
from node.datapath.virtio import NO_OFFLOAD
from node.transport.udp import MAX_SEGMENTS
from node.wireguard.events import Drop
from node.wireguard.inner import trimmed_length

if TYPE_CHECKING:
    from collections import Counter

    from node.datapath.coalesce import Shape
    from node.datapath.gate import Gate
    from node.datapath.tun import Tun
    from node.wireguard.peer import Peer

_TOO_SMALL_TO_JOIN = LEAD + 80 + TAG
"""Acknowledgements, mostly: nothing to join, so not looked at."""

_MOST_SHAPES = 32


class Delivery:
    """Takes opened messages that lie in one buffer, each `header 16 | padded packet | tag 16`."""

    def __init__(self, buffer: memoryview, tun: Tun, gate: Gate, drops: Counter[Drop]) -> None:
        self._buffer = buffer
        self._tun = tun
        self._gate = gate
        self._drops = drops
        self._array = np.frombuffer(buffer, np.uint8)
        self._trains = Trains(buffer)
        self._known_slices: dict[
            tuple[int, int, int], tuple[list[memoryview], list[memoryview]]
        ] = {}

    def deliver(self, plaintext: memoryview, peer: Peer, now: float) -> None:
        """Deliver one padded packet."""
        length = trimmed_length(plaintext)
        if length is None:
            self._drops[Drop.INNER_MALFORMED] += 1
            return
        packet = plaintext[:length]
        if self._gate.admit_inbound(packet, 1, length, peer, now) is None:
            return
        self._write_plain(packet)

    def deliver_bursts(self, stride: int, count: int, bursts: int, peer: Peer, now: float) -> None:
        """Deliver bursts that lie behind one another, each of `count` rows of `stride` bytes."""
        if stride <= _TOO_SMALL_TO_JOIN:
            self.deliver_rows(stride, count * bursts, None, peer, now)
            return
        shape = None
        if bursts > 1 and count > 1 and self._gate.capture is None:
            shape = shape_of(self._buffer[LEAD : stride - TAG])
        if (
            shape is not None
            and self._may_join(shape, count)
            and self._trains.are_trains(stride, count, bursts, shape)
        ):
            self._deliver_trains(stride, count, bursts, shape, peer, now)
            return
        size = count * stride
        for begin in range(0, bursts * size, size):
            if begin:
                self._buffer[:size] = self._buffer[begin : begin + size]
            self.deliver_rows(stride, count, None, peer, now)

    def deliver_rows(
        self, stride: int, count: int, tail: memoryview | None, peer: Peer, now: float
    ) -> None:
        """Deliver `count` rows of `stride` bytes, and a shorter padded packet behind them."""
        if stride <= _TOO_SMALL_TO_JOIN:
            for begin in range(LEAD, count * stride, stride):
                self.deliver(self._buffer[begin : begin + stride - LEAD - TAG], peer, now)
            if tail:
                self.deliver(tail, peer, now)
            return
        shape = shape_of(self._buffer[LEAD : stride - TAG])
        if shape is not None and self._trains.are_trains(stride, count, 1, shape):
            if self._gate.capture is None and self._may_join(shape, count):
                self._deliver_train(stride, count, shape, tail, peer, now)
                return
            runs = [Run(0, count, shape, self._ends(stride, count, shape))]
        else:
            rows = self._array[: count * stride].reshape(count, stride)
            runs = find_runs(rows[:, LEAD:-TAG])
        tail_joined = False
        for position, run in enumerate(runs):
            is_last = position == len(runs) - 1
            if run.shape is None:
                begin = run.first * stride + LEAD
                self.deliver(self._buffer[begin : begin + stride - LEAD - TAG], peer, now)
                continue
            follower = None
            if is_last and tail and not run.ends:
                first = self._buffer[run.first * stride + LEAD :][: run.shape.length]
                tail_shape = joins(first, run.shape, run.count, tail)
                if tail_shape is not None:
                    follower = tail[: tail_shape.length]
                    tail_joined = True
            self._deliver_run(run, run.shape, stride, follower, peer, now)
        if tail and not tail_joined:
            self.deliver(tail, peer, now)

    def _ends(self, stride: int, count: int, shape: Shape) -> bool:
        return _has_psh(self._buffer[(count - 1) * stride + LEAD :], shape)

    def _deliver_train(
        self,
        stride: int,
        count: int,
        shape: Shape,
        tail: memoryview | None,
        peer: Peer,
        now: float,
    ) -> None:
        """Deliver a burst that is one run, and what follows it, with one judgement and one call."""
        first = self._buffer[LEAD : LEAD + shape.length]
        has_psh = self._ends(stride, count, shape)
        follower = tail_shape = None
        if tail and not has_psh:
            tail_shape = joins(first, shape, count, tail)
        if tail and tail_shape is not None:
            follower = tail[shape.header_bytes : tail_shape.length]
            has_psh = _has_psh(tail, shape)
        packets = count + (follower is not None)
        size = shape.header_bytes + count * shape.payload + len(follower or b"")
        if self._gate.admit_inbound(first, packets, size, peer, now) is not None:
            joined = self._trains.join(
                stride, count, shape, follower or self._buffer[:0], has_psh=has_psh
            )
            self._gate.counters.segments_in += packets
            was_taken = self._write_joined(joined, stride, 0, count, shape)
            if not was_taken and tail and tail_shape is not None:
                self._write(tail[: tail_shape.length])
        if tail and follower is None:
            self.deliver(tail, peer, now)

    def _deliver_trains(
        self, stride: int, count: int, bursts: int, shape: Shape, peer: Peer, now: float
    ) -> None:
        """Deliver bursts that are one run each, all of one flow, with one judgement."""
        first = self._buffer[LEAD : LEAD + shape.length]
        packets = count * bursts
        size = bursts * (shape.header_bytes + count * shape.payload)
        if self._gate.admit_inbound(first, packets, size, peer, now) is None:
            return
        self._gate.counters.segments_in += packets
        for number, joined in enumerate(self._trains.join_each(stride, count, bursts, shape)):
            self._write_joined(joined, stride, number * count, count, shape)

    def _write_joined(
        self, joined: memoryview, stride: int, first: int, count: int, shape: Shape
    ) -> bool:
        """Write a super-packet, or its packets if the kernel refuses it; whether it did not."""
        try:
            os.write(self._tun.fd, joined)
        except OSError as error:
            if error.errno != errno.EINVAL:
                self._gate.counters.tun_write_errors += 1
                return True
            self._refused(shape)
            slices, _ = self._slices(stride, shape)
            for packet in slices[first : first + count]:
                self._write(packet)
            return False
        return True

    def _refused(self, shape: Shape) -> None:
        """Never again offer UDP groups: some kernels refuse what they should take."""
        if not shape.is_tcp:
            self._tun.set_offloads(Offloads.TCP)

    def _deliver_run(
        self,
        run: Run,
        shape: Shape,
        stride: int,
        follower: memoryview | None,
        peer: Peer,
        now: float,
    ) -> None:
        packets, payloads = self._slices(stride, shape)
        after = run.first + run.count
        packets, payloads = packets[run.first : after], payloads[run.first : after]
        size = run.count * shape.payload
        if follower is not None:
            packets.append(follower)
            payloads.append(follower[shape.header_bytes :])
            size += len(payloads[-1])
        flow = self._gate.admit_inbound(
            packets[0], len(packets), shape.header_bytes + size, peer, now
        )
        if flow is None:
            return
        limit = len(packets) if shape.is_tcp else MAX_SEGMENTS
        if not self._may_join(shape, 1):
            limit = 1
        for start in range(0, len(packets), limit):
            end = start + limit
            self._write_group(packets[start:end], payloads[start:end], shape)

    def _slices(self, stride: int, shape: Shape) -> tuple[list[memoryview], list[memoryview]]:
        """Return whole packets and payloads of all rows of this size, made once."""
        key = (stride, shape.header_bytes, shape.length)
        known = self._known_slices.get(key)
        if known is None:
            if len(self._known_slices) >= _MOST_SHAPES:
                self._known_slices.clear()
            begins = range(LEAD, len(self._buffer) - shape.length + 1, stride)
            packets = [self._buffer[at : at + shape.length] for at in begins]
            known = packets, [packet[shape.header_bytes :] for packet in packets]
            self._known_slices[key] = known
        return known

    def _may_join(self, shape: Shape, count: int) -> bool:
        """Whether the kernel takes `count` such packets, and perhaps a follower, as one."""
        offloads = self._tun.offloads
        if shape.is_tcp:
            return offloads is not Offloads.NONE
        return offloads is Offloads.TCP_AND_UDP and count < MAX_SEGMENTS

    # Writing.

    def _write_group(
        self, packets: list[memoryview], payloads: list[memoryview], shape: Shape
    ) -> None:
        if len(packets) == 1:
            self._write_plain(packets[0])
            return
        if self._gate.capture is not None:
            for packet in packets:
                self._gate.capture.allowed(packet, INBOUND)
        head = shape.header_bytes
        total = head + (len(packets) - 1) * shape.payload + len(payloads[-1])
        first = packets[0]
        original = bytes(first[:head])
        has_psh = _has_psh(packets[-1], shape)
        header = write_super_header(first, shape, total, has_psh=has_psh)
        self._gate.counters.segments_in += len(packets)
        payloads[0] = first
        try:
            os.writev(self._tun.fd, [header.pack(), *payloads])
        except OSError as error:
            if error.errno != errno.EINVAL:
                self._gate.counters.tun_write_errors += 1
                return
            self._refused(shape)
            first[:head] = original
            for packet in packets:
                self._write(packet)

    def _write_plain(self, packet: memoryview) -> None:
        if self._gate.capture is not None:
            self._gate.capture.allowed(packet, INBOUND)
        self._gate.counters.segments_in += 1
        self._write(packet)

    def _write(self, packet: memoryview) -> None:
        try:
            os.writev(self._tun.fd, (NO_OFFLOAD, packet))
        except OSError:
            # The interface is down, or the packet is none: the counter tells.
            self._gate.counters.tun_write_errors += 1


def _has_psh(packet: memoryview, shape: Shape) -> bool:
    return shape.is_tcp and bool(packet[shape.ip_bytes + 13] & 0x08)
