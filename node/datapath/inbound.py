"""From the network to the TUN device, a burst of datagrams at a time.

A burst of equal datagrams of one session is opened in place, judged and joined all at once, and
each group is written with one call whose slices point into the burst. Anything else goes one by
one: other message types to the WireGuard machine, STUN and disco to whoever asked for them.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import numpy as np
from cryptography.exceptions import InvalidTag

from node.datapath.coalesce import Run, find_runs, joins, shape_of, write_super_header
from node.datapath.denials import INBOUND
from node.datapath.sealing import RowViews
from node.datapath.segment import LEAD, TAG
from node.datapath.train import Trains
from node.datapath.tun import Offloads
from node.datapath.virtio import NO_OFFLOAD
from node.transport.demux import DatagramKind, classify
from node.transport.udp import MAX_SEGMENTS, RECEIVE_BYTES
from node.wireguard.constants import REJECT_AFTER_MESSAGES
from node.wireguard.events import Drop
from node.wireguard.inner import trimmed_length
from node.wireguard.messages import TRANSPORT_OVERHEAD_BYTES, transport_fields
from node.wireguard.primitives import nonce

if TYPE_CHECKING:
    from node.datapath.coalesce import Shape
    from node.datapath.contract import ForeignDatagrams
    from node.datapath.gate import Gate
    from node.datapath.sealing import Rows
    from node.datapath.tun import Tun
    from node.wireguard.device import Device
    from node.wireguard.path import Path
    from node.wireguard.peer import Peer
    from node.wireguard.session import Session

_TRANSPORT = b"\x04\0\0\0"
_ALIKE_PAYS = 4
_LEAST_ALIKE = TRANSPORT_OVERHEAD_BYTES + 32
_TOO_SMALL_TO_JOIN = TRANSPORT_OVERHEAD_BYTES + 80
"""Acknowledgements, mostly: nothing to join, so not looked at."""
_MOST_ALIKE = 128
_MOST_SHAPES = 32


class Inbound:
    """Opens, judges, joins and delivers what peers send."""

    def __init__(self, tun: Tun, device: Device, gate: Gate) -> None:
        self.buffer = memoryview(bytearray(RECEIVE_BYTES))
        """Where bursts are to be received into."""
        self.sessions: dict[int, Session] = {}
        self.foreign: ForeignDatagrams | None = None
        self._tun = tun
        self._device = device
        self._gate = gate
        self._array = np.frombuffer(self.buffer, np.uint8)
        self._views = RowViews(self.buffer)
        self._trains = Trains(self.buffer)
        self._known_slices: dict[
            tuple[int, int, int], tuple[list[memoryview], list[memoryview]]
        ] = {}

    def take(self, size: int, segment: int, path: Path, now: float) -> None:
        """Take the burst in `buffer`: datagrams of `segment` bytes, the last perhaps shorter."""
        if size <= 0:
            return
        count = size // segment
        at = 0
        if (
            _ALIKE_PAYS <= count <= _MOST_ALIKE
            and segment >= _LEAST_ALIKE
            and self.buffer[:4] == _TRANSPORT
        ):
            at = self._take_alike(size, segment, count, path, now)
        while at < size:
            self._take_one(at, min(segment, size - at), path, now)
            at += segment

    # One by one.

    def _take_one(self, at: int, size: int, path: Path, now: float) -> None:
        datagram = self.buffer[at : at + size]
        if datagram[:4] != _TRANSPORT or size < TRANSPORT_OVERHEAD_BYTES:
            self._pass_on(datagram, path, now)
            return
        opened = self._open(at, size, now)
        if opened is None:
            return
        session, plaintext = opened
        has_data = len(plaintext) > 0
        peer = self._device.note_received(session, path, size, now, has_data=has_data)
        if peer is not None and has_data:
            self._deliver(plaintext, peer, now)

    def _pass_on(self, datagram: memoryview, path: Path, now: float) -> None:
        kind = classify(datagram).kind
        if kind is DatagramKind.WIREGUARD:
            self._device.receive(datagram, path, now)
        elif self.foreign is not None:
            self.foreign(kind, bytes(datagram), path, now)

    def _open(self, at: int, size: int, now: float) -> tuple[Session, memoryview] | None:
        """Decrypt one message in place; returns its session and its padded plaintext."""
        drops = self._device.drops
        index, counter = transport_fields(self.buffer[at : at + LEAD])
        session = self.sessions.get(index)
        if session is None:
            drops[Drop.UNKNOWN_INDEX] += 1
            return None
        if not session.can_receive(now):
            drops[Drop.SESSION_EXPIRED] += 1
            return None
        begin, end = at + LEAD, at + size
        plaintext = self.buffer[begin : end - TAG]
        if counter >= REJECT_AFTER_MESSAGES:
            drops[Drop.TAG_OR_REPLAY] += 1
            return None
        try:
            session.receive_cipher.decrypt_into(
                nonce(counter), self.buffer[begin:end], None, plaintext
            )
        except InvalidTag:
            drops[Drop.TAG_OR_REPLAY] += 1
            return None
        if not session.window.accept(counter):
            drops[Drop.TAG_OR_REPLAY] += 1
            return None
        return session, plaintext

    def _deliver(self, plaintext: memoryview, peer: Peer, now: float) -> None:
        length = trimmed_length(plaintext)
        if length is None:
            self._device.drops[Drop.INNER_MALFORMED] += 1
            return
        packet = plaintext[:length]
        if self._gate.admit_inbound(packet, 1, length, peer, now) is None:
            return
        self._write_plain(packet)

    # All at once.

    def _take_alike(self, size: int, segment: int, count: int, path: Path, now: float) -> int:
        """Take the equal datagrams of one session; returns how far into the burst that went."""
        session = self.sessions.get(int.from_bytes(self.buffer[4:8], "little"))
        if session is None or not session.can_receive(now):
            return 0
        rows = self._views.rows(0, segment, count)
        if not rows.are_alike():
            return 0
        is_in_order = rows.read_numbers()
        wrong = self._views.open(session.receive_cipher, rows)
        kept = self._accept(session, rows, wrong, is_in_order=is_in_order)
        if not kept:
            self._device.drops[Drop.TAG_OR_REPLAY] += count
            return count * segment
        peer = self._device.note_received(session, path, len(kept) * segment, now, has_data=True)
        if peer is None:
            return count * segment
        if len(kept) < count:
            self._device.drops[Drop.TAG_OR_REPLAY] += count - len(kept)
            for number in kept:
                begin = number * segment
                self._deliver(self.buffer[begin + LEAD : begin + segment - TAG], peer, now)
            return count * segment
        tail = self._open_tail(size, segment, count, path, now)
        self._deliver_rows(segment, count, tail, peer, now)
        return count * segment if tail is None else size

    def _accept(
        self, session: Session, rows: Rows, wrong: list[int], *, is_in_order: bool
    ) -> range | list[int]:
        """Return the numbers of rows that are authentic and new."""
        count = len(rows.sealed)
        window = session.window
        if is_in_order and not wrong and window.accept_run(int(rows.counters[0]), count):
            return range(count)
        accept = window.accept
        return [
            number
            for number, counter in enumerate(rows.counters.tolist())
            if number not in wrong and accept(counter)
        ]

    def _open_tail(
        self, size: int, segment: int, count: int, path: Path, now: float
    ) -> memoryview | None:
        """Open a shorter last datagram of the same session, so that it may join the others."""
        at = count * segment
        length = size - at
        if length <= TRANSPORT_OVERHEAD_BYTES or self.buffer[at : at + 8] != self.buffer[:8]:
            return None
        opened = self._open(at, length, now)
        if opened is None:
            # Counted as a drop already; an empty packet joins nothing and is delivered nowhere.
            return self.buffer[:0]
        self._device.note_received(opened[0], path, length, now, has_data=True)
        return opened[1]

    def _deliver_rows(
        self, stride: int, count: int, tail: memoryview | None, peer: Peer, now: float
    ) -> None:
        if stride <= _TOO_SMALL_TO_JOIN:
            for begin in range(LEAD, count * stride, stride):
                self._deliver(self.buffer[begin : begin + stride - LEAD - TAG], peer, now)
            if tail:
                self._deliver(tail, peer, now)
            return
        shape = shape_of(self.buffer[LEAD : stride - TAG])
        if shape is not None and self._trains.is_train(stride, count, shape):
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
                self._deliver(self.buffer[begin : begin + stride - LEAD - TAG], peer, now)
                continue
            follower = None
            if is_last and tail and not run.ends:
                first = self.buffer[run.first * stride + LEAD :][: run.shape.length]
                tail_shape = joins(first, run.shape, run.count, tail)
                if tail_shape is not None:
                    follower = tail[: tail_shape.length]
                    tail_joined = True
            self._deliver_run(run, run.shape, stride, follower, peer, now)
        if tail and not tail_joined:
            self._deliver(tail, peer, now)

    def _ends(self, stride: int, count: int, shape: Shape) -> bool:
        return _has_psh(self.buffer[(count - 1) * stride + LEAD :], shape)

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
        first = self.buffer[LEAD : LEAD + shape.length]
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
                stride, count, shape, follower or self.buffer[:0], has_psh=has_psh
            )
            self._gate.counters.segments_in += packets
            try:
                os.write(self._tun.fd, joined)
            except OSError as error:
                if error.errno != errno.EINVAL:
                    self._gate.counters.tun_write_errors += 1
                else:
                    self._refused(shape)
                    slices, _ = self._slices(stride, shape)
                    for packet in slices[:count]:
                        self._write(packet)
                    if tail and tail_shape is not None:
                        self._write(tail[: tail_shape.length])
        if tail and follower is None:
            self._deliver(tail, peer, now)

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
            begins = range(LEAD, len(self.buffer) - shape.length + 1, stride)
            packets = [self.buffer[at : at + shape.length] for at in begins]
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
