"""From the network, a burst of datagrams at a time: opened, and handed to `delivery`.

A burst of equal datagrams of one session is opened in place all at once, and so are several that
wait behind one another: received one behind the other they are like one. Anything else goes one by
one: other message types to the WireGuard machine, STUN and disco to whoever asked for them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidTag

from node.datapath.buffers import LEAD, TAG, Place, packet_buffer
from node.datapath.delivery import Delivery
from node.datapath.sealing import MOST_ROWS, RowViews
from node.transport.demux import DatagramKind, classify
from node.transport.udp import RECEIVE_BYTES
from node.wireguard.constants import REJECT_AFTER_MESSAGES
from node.wireguard.events import Drop
from node.wireguard.messages import TRANSPORT_OVERHEAD_BYTES, transport_fields
from node.wireguard.primitives import nonce

if TYPE_CHECKING:
    from node.datapath.contract import ForeignDatagrams
    from node.datapath.gate import Gate
    from node.datapath.sealing import Rows
    from node.datapath.tun import Tun
    from node.wireguard.device import Device
    from node.wireguard.path import Path
    from node.wireguard.session import Session

_TRANSPORT = b"\x04\0\0\0"
_ALIKE_PAYS = 4
_LEAST_ALIKE = TRANSPORT_OVERHEAD_BYTES + 32
_STACK_BYTES = 4 * RECEIVE_BYTES
"""Few enough to stay in a core's cache until they are written."""


class Inbound:
    """Opens what peers send and has it delivered."""

    def __init__(self, tun: Tun, device: Device, gate: Gate) -> None:
        self.buffer = packet_buffer(_STACK_BYTES, Place.RECEIVED)
        """Where bursts lie that are to be taken."""
        # Bursts of one size and source, received one behind the other.
        self._stack: tuple[int, int, Path] | None = None
        self._stacked = 0
        self._stack_end = 0
        self.sessions: dict[int, Session] = {}
        self.foreign: ForeignDatagrams | None = None
        self._device = device
        self._delivery = Delivery(self.buffer, tun, gate, device.drops)
        self._views = RowViews(self.buffer)

    # Bursts that wait behind one another.

    def room(self) -> memoryview:
        """Return where the next burst is to be received, RECEIVE_BYTES at least."""
        return self.buffer[self._stack_end :]

    def stack(self, size: int, segment: int, path: Path, now: float) -> None:
        """Take the burst in `room`, perhaps together with later ones: see `finish`."""
        if size <= 0:
            return
        burst = (size, segment, path)
        if burst != self._stack:
            begin = self._stack_end
            if begin:
                self.finish(now)
                self.buffer[:size] = self.buffer[begin : begin + size]
            self._stack = burst
        self._stacked += 1
        self._stack_end += size
        if (
            size % segment
            or self._stack_end + RECEIVE_BYTES > _STACK_BYTES
            or self._stack_end + size > MOST_ROWS * segment
        ):
            self.finish(now)

    def finish(self, now: float) -> None:
        """Take what is stacked: no other burst is waiting."""
        if self._stack is not None:
            size, segment, path = self._stack
            stacked, self._stacked = self._stacked, 0
            self._stack, self._stack_end = None, 0
            self.take(size, segment, path, now, stacked)

    def take(self, size: int, segment: int, path: Path, now: float, bursts: int = 1) -> None:
        """Take the burst in `buffer`: datagrams of `segment` bytes, the last perhaps shorter.

        If there are several `bursts` of that size, all datagrams have `segment` bytes.
        """
        if size <= 0:
            return
        size *= bursts
        count = size // segment
        at = 0
        if (
            _ALIKE_PAYS <= count <= MOST_ROWS
            and segment >= _LEAST_ALIKE
            and self.buffer[:4] == _TRANSPORT
        ):
            at = self._take_alike(size, segment, (count, bursts), path, now)
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
            self._delivery.deliver(plaintext, peer, now)

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

    # All at once.

    def _take_alike(
        self, size: int, segment: int, counts: tuple[int, int], path: Path, now: float
    ) -> int:
        """Take the equal datagrams of one session; returns how far that went.

        `counts` are those datagrams, and the bursts in which they came.
        """
        count, bursts = counts
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
                self._delivery.deliver(self.buffer[begin + LEAD : begin + segment - TAG], peer, now)
            return count * segment
        if bursts > 1:
            self._delivery.deliver_bursts(segment, count // bursts, bursts, peer, now)
            return size
        tail = self._open_tail(size, segment, count, path, now)
        self._delivery.deliver_rows(segment, count, tail, peer, now)
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
