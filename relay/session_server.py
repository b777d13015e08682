"""The server's end of one DERP connection, from the first frame on.

    start()                       ClientInfo ok                admit()
  ──────────► AWAIT_CLIENT_INFO ───────────────► AWAIT_VERDICT ───────► OPEN
                    │ fault, 10 s                    │ refuse(), 10 s    │ fault, silence
                    └───────────────────────────► CLOSED ◄──────────────┘

Bytes go in through `receive`, bytes come out of `outbox`; who may connect is asked of the driver
with `AdmissionAsked` and told with `admit` or `refuse`. Source: relay reference 1.6 to 1.11.
Packets, the one frequent frame, go through `relay.fastpath`.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from control.keys import Box, Entropy, KeyTextError, MeshKey, NodePrivate
from relay.errors import Fault, RemoteFaultError, UsageError
from relay.fastpath import forward_from, header_at
from relay.frames import (
    HEADER_BYTES,
    KEY_BYTES,
    MAX_CLIENT_INFO_BYTES,
    MAX_PACKET_BYTES,
    ClientInfoFrame,
    ClosePeer,
    ForwardPacket,
    FrameType,
    Health,
    IpAddress,
    KeepAlive,
    NotePreferred,
    Ping,
    Pong,
    PresenceFlag,
    Restarting,
    ServerInfoFrame,
    ServerKey,
    WatchConns,
    decode,
    encode,
)
from relay.handshake import ClientInfo, ServerInfo, greeting_box, open_client_info, seal_greeting
from relay.outbox import Outbox
from relay.ratelimit import RateLimit, TokenBucket
from relay.router import Connection, Router

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "AdmissionAsked",
    "ClientLeft",
    "Phase",
    "ServerIdentity",
    "ServerSession",
    "SessionEvent",
]

HANDSHAKE_S = 10.0
KEEPALIVE_S = 60.0
KEEPALIVE_JITTER_S = 5.0
WRITE_TIMEOUT_S = 2.0
MESH_WRITE_TIMEOUT_S = 30.0
HOME_SETTLE_S = 5.0
"""A home flag that changes sooner after connecting is the client finding its feet, not a move."""

MAX_UNREAD_BYTES = 1 << 20
"""What a driver may still hand over between AdmissionAsked and the verdict."""

_BIGGEST_FRAME = 2 * KEY_BYTES + MAX_PACKET_BYTES


@dataclass(frozen=True, slots=True)
class ServerIdentity:
    """What all sessions of one server share."""

    private: NodePrivate
    entropy: Entropy
    mesh_key: MeshKey | None = None
    info: ServerInfo = ServerInfo()  # noqa: RUF009  frozen
    write_timeout_s: float = WRITE_TIMEOUT_S
    rate: RateLimit = RateLimit(0, 0)  # noqa: RUF009  frozen

    @property
    def public(self) -> bytes:
        """The server's public key, 32 raw bytes."""
        return self.private.public.raw


@dataclass(frozen=True, slots=True)
class AdmissionAsked:
    """A client proved its key; somebody has to say whether it may stay."""

    key: bytes
    address: IpAddress
    info: ClientInfo


@dataclass(frozen=True, slots=True)
class ClientLeft:
    """The session is over; the connection must be closed once the outbox is empty or dead."""

    fault: Fault | None
    detail: str


SessionEvent = AdmissionAsked | ClientLeft


class Phase(Enum):
    """Where a session stands."""

    AWAIT_CLIENT_INFO = "await client info"
    AWAIT_VERDICT = "await verdict"
    OPEN = "open"
    CLOSED = "closed"


class ServerSession:
    """One connection's machine. `on_dirty` runs when there are bytes to take or it ended."""

    def __init__(
        self,
        identity: ServerIdentity,
        router: Router,
        *,
        address: IpAddress,
        port: int,
        on_dirty: Callable[[], None],
        now: float,
        is_ideal: bool = True,
    ) -> None:
        self._identity = identity
        self._router = router
        self._counters = router.counters
        self._address = address
        self._port = port
        self._is_ideal = is_ideal
        self._on_dirty = on_dirty
        self.outbox = Outbox(router.counters, on_dirty)
        self.phase = Phase.AWAIT_CLIENT_INFO
        self.connection: Connection | None = None
        self._events: deque[SessionEvent] = deque()
        self._tail = bytearray()
        self._skip = 0
        self._key = b""
        self._box: Box | None = None
        self._info = ClientInfo()
        self._bucket = TokenBucket(identity.rate, now)
        self._handshake_by = now + HANDSHAKE_S
        jitter = int.from_bytes(identity.entropy(2), "big") / 65_535 * KEEPALIVE_JITTER_S
        self._keepalive_every = KEEPALIVE_S + jitter
        self._keepalive_at = now + self._keepalive_every
        self._stuck_since: float | None = None
        self.outbox.push_signal(encode(ServerKey(identity.public)))

    @property
    def key(self) -> bytes:
        """The client's node key, empty until it proved one."""
        return self._key

    @property
    def client_info(self) -> ClientInfo:
        """What the client said of itself."""
        return self._info

    @property
    def is_closed(self) -> bool:
        """Whether the session is over."""
        return self.phase is Phase.CLOSED

    @property
    def wants_input(self) -> bool:
        """Whether the driver should go on reading; not while the verdict is out, nor at the end."""
        return self.phase in {Phase.AWAIT_CLIENT_INFO, Phase.OPEN}

    def next_event(self) -> SessionEvent | None:
        """Return what happened next, None when nothing did."""
        return self._events.popleft() if self._events else None

    def receive(self, data: bytes | memoryview, now: float) -> float:
        """Take bytes from the client.

        Returns the seconds for which the driver must not read further (rate limit), usually 0.
        Faults of the client end the session with a `ClientLeft` event; nothing is raised.
        """
        if self.phase is Phase.CLOSED:
            return 0.0
        self._counters.bytes_received += len(data)
        self._tail += data
        return self._advance(now)

    def _advance(self, now: float) -> float:
        stream = self._tail
        charged = 0
        try:
            if self.phase is Phase.AWAIT_CLIENT_INFO:
                used = self._greet(stream, now)
            elif self.phase is Phase.OPEN:
                used = self._scan(stream, now)
                charged = used
            else:
                self._hold(stream)
                return 0.0
        except RemoteFaultError as error:
            self._close(error.fault, error.detail)
            return 0.0
        if used and not self.is_closed:
            # A buffer of its own for the rest: runs handed on still look into the old one.
            self._tail = stream[used:]
        if charged and not (self.connection and self.connection.is_mesh_peer):
            return self._bucket.charge(charged, now)
        return 0.0

    def _hold(self, stream: bytearray) -> None:
        if len(stream) > MAX_UNREAD_BYTES:
            raise RemoteFaultError(Fault.BACKLOG, "too much sent before admission")

    def _greet(self, stream: bytearray, now: float) -> int:
        if len(stream) < HEADER_BYTES:
            return 0
        kind, length = header_at(stream, 0)
        if kind != FrameType.CLIENT_INFO:
            raise RemoteFaultError(Fault.UNEXPECTED_FRAME, f"type {kind:#04x} before ClientInfo")
        if length > MAX_CLIENT_INFO_BYTES:
            raise RemoteFaultError(Fault.FRAME_TOO_LONG, f"ClientInfo announces {length} bytes")
        stop = HEADER_BYTES + length
        if len(stream) < stop:
            return 0
        frame = decode(kind, bytes(stream[HEADER_BYTES:stop]))
        if isinstance(frame, ClientInfoFrame):
            self._open_greeting(frame)
        self.phase = Phase.AWAIT_VERDICT
        self._handshake_by = now + HANDSHAKE_S
        self._events.append(AdmissionAsked(self._key, self._address, self._info))
        return stop

    def _open_greeting(self, frame: ClientInfoFrame) -> None:
        if not any(frame.key):
            raise RemoteFaultError(Fault.BAD_BOX, "a node key of zeros means no key")
        self._box = greeting_box(self._identity.private, frame.key)
        self._info = open_client_info(frame.sealed, self._box)
        self._key = frame.key
        if frame.key == self._identity.public:
            raise RemoteFaultError(Fault.SELF_CONNECT, "the client presents this server's key")
        if self._info.mesh_key and not self.is_mesh_peer:
            raise RemoteFaultError(Fault.BAD_MESH_KEY, "mesh key differs from this region's")

    @property
    def is_mesh_peer(self) -> bool:
        """Whether the client proved to be another server of the region."""
        ours = self._identity.mesh_key
        if ours is None or not self._info.mesh_key:
            return False
        try:
            return MeshKey.from_secret_text(self._info.mesh_key) == ours
        except KeyTextError:
            return False

    def admit(self, now: float) -> float:
        """Let the client in: register it and answer with ServerInfo; returns as `receive` does."""
        if self.phase is Phase.CLOSED:
            return 0.0
        if self.phase is not Phase.AWAIT_VERDICT or self._box is None:
            raise UsageError(f"admit() while {self.phase.value}")
        self.phase = Phase.OPEN
        sealed = seal_greeting(self._identity.info, self._box, self._identity.entropy)
        self.outbox.push_signal(encode(ServerInfoFrame(sealed)))
        self.connection = Connection(
            self._key,
            self.outbox,
            self._close_for,
            address=self._address,
            port=self._port,
            flags=self._flags(),
            now=now,
        )
        self._router.register(self.connection)
        return self._advance(now)

    def refuse(self, detail: str) -> None:
        """Turn the client away after AdmissionAsked."""
        self._counters.clients_refused += 1
        self._close(Fault.REFUSED, detail)

    def disconnected(self) -> None:
        """Leave the region: the transport is gone."""
        self._close(None, "connection lost")

    def announce_restart(self, reconnect_in_ms: int, try_for_ms: int) -> None:
        """Tell the client that this server is going away, and when to come back."""
        if self.phase is Phase.OPEN:
            self.outbox.push_signal(encode(Restarting(reconnect_in_ms, try_for_ms)))

    def announce_health(self, problem: str) -> None:
        """Tell the client of a problem; empty text clears it."""
        if self.phase is Phase.OPEN:
            self.outbox.push_signal(encode(Health(problem)))

    def set_rate(self, rate: RateLimit, now: float) -> None:
        """Apply another read rate limit, as after a reload."""
        self._bucket.replace(rate, now)

    def pause_writing(self, now: float) -> None:
        """Note that the transport takes no more bytes for now; packets wait, then drop."""
        self._stuck_since = now
        self.outbox.pause_writing()

    def resume_writing(self, now: float) -> None:
        """Note that the transport takes bytes again."""
        self._stuck_since = None
        self.outbox.resume_writing(now)

    def note_progress(self, now: float) -> None:
        """Restart the write timeout: the transport still is full, but some bytes left it."""
        if self._stuck_since is not None:
            self._stuck_since = now

    def deadline(self) -> float | None:
        """Return when `on_deadline` has something to do."""
        if self.phase is Phase.CLOSED:
            return None
        if self.phase is not Phase.OPEN:
            return self._handshake_by
        stuck = self._stuck_until()
        return self._keepalive_at if stuck is None else min(stuck, self._keepalive_at)

    def on_deadline(self, now: float) -> None:
        """Do what is due: time out a handshake or a stuck write, send a keepalive."""
        if self.phase is Phase.CLOSED:
            return
        if self.phase is not Phase.OPEN:
            if now >= self._handshake_by:
                self._close(Fault.HANDSHAKE_TIMEOUT, f"no word after {HANDSHAKE_S:.0f} s")
            return
        stuck = self._stuck_until()
        if stuck is not None and now >= stuck:
            self._counters.write_timeouts += 1
            self._close(Fault.WRITE_TIMEOUT, "client does not read")
        elif self.outbox.is_overrun:
            self._close(Fault.BACKLOG, "too many unread signals")
        elif now >= self._keepalive_at:
            self._keepalive_at = now + self._keepalive_every
            self.outbox.push_signal(encode(KeepAlive()))

    def _stuck_until(self) -> float | None:
        timeout = self._identity.write_timeout_s
        if self._stuck_since is None or not timeout:
            return None
        mesh = self.connection is not None and self.connection.is_mesh_peer
        return self._stuck_since + (MESH_WRITE_TIMEOUT_S if mesh else timeout)

    def _flags(self) -> PresenceFlag:
        flags = PresenceFlag.NONE
        if self.is_mesh_peer:
            flags |= PresenceFlag.MESH_PEER
        if self._info.is_prober:
            flags |= PresenceFlag.PROBER
        if not self._is_ideal:
            flags |= PresenceFlag.NOT_IDEAL
        return flags or PresenceFlag.REGULAR

    def _close_for(self, fault: Fault) -> None:
        self._close(fault, "asked by a mesh peer")

    def _close(self, fault: Fault | None, detail: str) -> None:
        if self.phase is Phase.CLOSED:
            return
        self.phase = Phase.CLOSED
        self._tail = bytearray()
        if self.connection is not None:
            self._router.unregister(self.connection)
        if fault is not None:
            faults = self._counters.faults
            faults[fault.value] = faults.get(fault.value, 0) + 1
        self._events.append(ClientLeft(fault, detail))
        # The end may come from elsewhere, as by a mesh peer: the driver must come and look.
        self._on_dirty()

    def _scan(self, stream: bytearray, now: float) -> int:
        """Handle every whole frame; return how many bytes they took."""
        connection = self.connection
        if connection is None:
            raise UsageError("open session without a connection")
        if connection.has_twin:
            self._router.note_activity(connection)
        end = len(stream)
        at = self._skipped(end)
        while end - at >= HEADER_BYTES:
            kind, length = header_at(stream, at)
            if kind == FrameType.SEND_PACKET:
                stop = forward_from(stream, at, connection, self._router, now)
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
            if length > _BIGGEST_FRAME:
                raise RemoteFaultError(
                    Fault.FRAME_TOO_LONG, f"type {kind:#04x} announces {length} bytes"
                )
            stop = at + HEADER_BYTES + length
            if stop > end:
                break
            self._handle(kind, bytes(stream[at + HEADER_BYTES : stop]), connection, now)
            at = stop
            if self.phase is not Phase.OPEN:
                break
        return at

    def _skipped(self, available: int) -> int:
        """Return how many bytes of an unknown frame to pass over; none of them is kept."""
        count = min(self._skip, available)
        self._skip -= count
        return count

    def _handle(self, kind: int, payload: bytes, connection: Connection, now: float) -> None:
        match decode(kind, payload):
            case NotePreferred(is_home):
                self._note_home(connection, now, is_home=is_home)
            case Ping(echo):
                self._counters.got_ping += 1
                self._counters.sent_pong += 1
                self.outbox.push_signal(encode(Pong(echo)))
            case ForwardPacket(source, destination, packet):
                self._need_mesh(connection, "ForwardPacket")
                self._router.deliver_forwarded(source, destination, packet, now)
            case WatchConns():
                self._need_mesh(connection, "WatchConns")
                self._router.watch(connection)
            case ClosePeer(peer):
                self._need_mesh(connection, "ClosePeer")
                self._router.close_peer(peer)
            case _:
                raise RemoteFaultError(Fault.UNEXPECTED_FRAME, f"type {kind:#04x}")

    def _need_mesh(self, connection: Connection, what: str) -> None:
        if not connection.is_mesh_peer:
            raise RemoteFaultError(Fault.NOT_PERMITTED, f"{what} without the mesh key")

    def _note_home(self, connection: Connection, now: float, *, is_home: bool) -> None:
        if is_home == connection.is_home:
            return
        connection.is_home = is_home
        if now - connection.connected_at < HOME_SETTLE_S:
            return
        if is_home:
            self._counters.home_moves_in += 1
        else:
            self._counters.home_moves_out += 1


_HANDLED = frozenset(
    {
        FrameType.NOTE_PREFERRED,
        FrameType.FORWARD_PACKET,
        FrameType.WATCH_CONNS,
        FrameType.CLOSE_PEER,
        FrameType.PING,
    }
)
