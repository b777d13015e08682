"""What an admitted client sends: packets go to the router in runs, everything else is acted on.

The one hot loop of a relay starts here; packets go through `relay.fastpath`. Source: relay
reference 1.6 to 1.10.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from relay.errors import Fault, RemoteFaultError
from relay.fastpath import forward_from, header_at
from relay.frames import (
    HEADER_BYTES,
    KEY_BYTES,
    MAX_PACKET_BYTES,
    ClosePeer,
    ForwardPacket,
    FrameType,
    NotePreferred,
    Ping,
    Pong,
    WatchConns,
    decode,
    encode,
)

if TYPE_CHECKING:
    from relay.router import Connection, Router

__all__ = ["BIGGEST_FRAME_BYTES", "Inflow"]

HOME_SETTLE_S = 5.0
"""A home flag that changes sooner after connecting is the client finding its feet, not a move."""

BIGGEST_FRAME_BYTES = HEADER_BYTES + 2 * KEY_BYTES + MAX_PACKET_BYTES
"""A ForwardPacket with the largest packet; nothing longer is ever kept."""

_HANDLED = frozenset(
    {
        FrameType.NOTE_PREFERRED,
        FrameType.FORWARD_PACKET,
        FrameType.WATCH_CONNS,
        FrameType.CLOSE_PEER,
        FrameType.PING,
    }
)


class Inflow:
    """The frames of one registered connection."""

    __slots__ = ("_connection", "_counters", "_owes_pong", "_router", "_skip")

    def __init__(self, connection: Connection, router: Router) -> None:
        self._connection = connection
        self._router = router
        self._counters = router.counters
        self._skip = 0
        self._owes_pong = False

    def scan(self, stream: bytearray, start: int, end: int, now: float) -> int:
        """Handle every whole frame of `stream[start:end]`; return where they end.

        Packets are rewritten in place and handed on as views. Stops early when a frame ended the
        connection. Raises RemoteFaultError for what a client may not send.
        """
        connection, router = self._connection, self._router
        if connection.has_twin:
            router.note_activity(connection)
        at = start + self._skipped(end - start)
        while end - at >= HEADER_BYTES:
            kind, length = header_at(stream, at)
            if kind == FrameType.SEND_PACKET:
                stop = forward_from(stream, at, end, connection, router, now)
                if stop == at:
                    break
                at = stop
                continue
            if kind not in _HANDLED:
                self._counters.unknown_frames += 1
                self._skip = length
                at += HEADER_BYTES
                at += self._skipped(end - at)
                continue
            if length > BIGGEST_FRAME_BYTES - HEADER_BYTES:
                raise RemoteFaultError(
                    Fault.FRAME_TOO_LONG, f"type {kind:#04x} announces {length} bytes"
                )
            stop = at + HEADER_BYTES + length
            if stop > end:
                break
            self._handle(kind, bytes(stream[at + HEADER_BYTES : stop]), now)
            at = stop
            if connection.is_gone:
                break
        return at

    def _skipped(self, available: int) -> int:
        """Return how many bytes of an unknown frame to pass over; none of them is kept."""
        count = min(self._skip, available)
        self._skip -= count
        return count

    def _handle(self, kind: int, payload: bytes, now: float) -> None:
        connection = self._connection
        match decode(kind, payload):
            case NotePreferred(is_home):
                self._note_home(now, is_home=is_home)
            case Ping(echo):
                self._answer_ping(echo)
            case ForwardPacket(source, destination, packet):
                self._need_mesh("ForwardPacket")
                self._router.deliver_forwarded(source, destination, packet, now)
            case WatchConns():
                self._need_mesh("WatchConns")
                self._router.watch(connection)
            case ClosePeer(peer):
                self._need_mesh("ClosePeer")
                self._router.close_peer(peer)
            case _:
                raise RemoteFaultError(Fault.UNEXPECTED_FRAME, f"type {kind:#04x}")

    def _answer_ping(self, echo: bytes) -> None:
        self._counters.got_ping += 1
        is_blocked = self._connection.outbox.is_blocked
        # One pong waits at a time: pings of a client that does not read are ignored.
        if not (is_blocked and self._owes_pong):
            self._counters.sent_pong += 1
            self._connection.outbox.push_signal(encode(Pong(echo)))
        self._owes_pong = is_blocked

    def _need_mesh(self, what: str) -> None:
        if not self._connection.is_mesh_peer:
            raise RemoteFaultError(Fault.NOT_PERMITTED, f"{what} without the mesh key")

    def _note_home(self, now: float, *, is_home: bool) -> None:
        connection = self._connection
        if is_home == connection.is_home:
            return
        connection.is_home = is_home
        if now - connection.connected_at < HOME_SETTLE_S:
            return
        if is_home:
            self._counters.home_moves_in += 1
        else:
            self._counters.home_moves_out += 1
