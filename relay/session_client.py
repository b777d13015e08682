"""The client's end of one DERP connection, HTTP upgrade included.

    AWAIT_HTTP ──101──► AWAIT_SERVER_KEY ──ServerKey──► AWAIT_SERVER_INFO ──ServerInfo──► OPEN

A client that knows the server's key (from its certificate or an earlier visit) may use fast
start: request and ClientInfo leave together and no HTTP answer comes back. `receive` takes bytes,
`next_event` yields what they meant, `outbox` holds what to write. Source: relay reference 1.3 to
1.7 and 1.15.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, assert_never

from relay.counters import Counters, DropReason, PacketKind
from relay.errors import Fault, RemoteFaultError, UsageError
from relay.frames import (
    HEADER_BYTES,
    KEY_BYTES,
    MAX_PACKET_BYTES,
    ClientInfoFrame,
    ClosePeer,
    ForwardPacket,
    FrameDecoder,
    FrameType,
    Health,
    NotePreferred,
    PeerGone,
    PeerPresent,
    Ping,
    Pong,
    RecvPacket,
    Restarting,
    ServerInfoFrame,
    ServerKey,
    WatchConns,
    decode,
    encode,
    is_disco,
    pack_frame,
)
from relay.handshake import ClientInfo, ServerInfo, greeting_box, open_server_info, seal_greeting
from relay.outbox import Outbox
from relay.ratelimit import RateLimit, TokenBucket
from relay.upgrade import encode_request, parse_response_head

if TYPE_CHECKING:
    from collections.abc import Callable

    from control.keys import Box, Entropy, MeshKey, NodePrivate

__all__ = [
    "ClientEvent",
    "ClientOptions",
    "ClientSession",
    "Disconnected",
    "Phase",
    "RelayReady",
]

CONNECT_S = 10.0
READ_TIMEOUT_S = 120.0
"""Two keepalives of the server missed."""


@dataclass(frozen=True, slots=True)
class RelayReady:
    """The relay accepted us; packets may flow."""

    server_key: bytes
    info: ServerInfo


@dataclass(frozen=True, slots=True)
class Disconnected:
    """The session is over; the connection must be closed."""

    fault: Fault
    detail: str


ClientEvent = (
    RelayReady | RecvPacket | PeerGone | PeerPresent | Health | Restarting | Pong | Disconnected
)


@dataclass(frozen=True, slots=True)
class ClientOptions:
    """How to introduce ourselves."""

    host: str = ""
    """Value of the Host header; empty leaves HTTP out, as on a WebSocket."""
    known_server_key: bytes | None = None
    """Enables fast start; the server must then prove to hold this key."""
    ideal_node: str = ""
    mesh_key: MeshKey | None = None
    is_prober: bool = False
    app_name: str = ""


class Phase(Enum):
    """Where a session stands."""

    AWAIT_HTTP = "await http"
    AWAIT_SERVER_KEY = "await server key"
    AWAIT_SERVER_INFO = "await server info"
    OPEN = "open"
    CLOSED = "closed"


class ClientSession:
    """One connection's machine. `on_dirty` runs once whenever the outbox has something to take."""

    def __init__(
        self,
        private: NodePrivate,
        options: ClientOptions,
        *,
        entropy: Entropy,
        now: float,
        on_dirty: Callable[[], None] = lambda: None,
    ) -> None:
        self._private = private
        self._options = options
        self._entropy = entropy
        self.counters = Counters()
        self.outbox = Outbox(self.counters, on_dirty)
        self.server_key = b""
        self._box: Box | None = None
        self.phase = Phase.AWAIT_HTTP
        self._head = bytearray()
        self._decoder = FrameDecoder()
        self._events: deque[ClientEvent] = deque()
        self._bucket: TokenBucket | None = None
        self._connect_by = now + CONNECT_S
        self._heard_at = now
        self._start()

    def _start(self) -> None:
        known = self._options.known_server_key
        if self._options.host:
            self.outbox.push_signal(
                encode_request(
                    self._options.host,
                    fast_start=known is not None,
                    ideal_node=self._options.ideal_node,
                )
            )
        if known is not None:
            self._introduce(known)
        if known is not None or not self._options.host:
            self.phase = Phase.AWAIT_SERVER_KEY

    def _introduce(self, server_key: bytes) -> None:
        mesh_key = self._options.mesh_key
        info = ClientInfo(
            mesh_key=mesh_key.to_secret_text() if mesh_key else "",
            is_prober=self._options.is_prober,
            app_name=self._options.app_name,
        )
        self._box = greeting_box(self._private, server_key)
        sealed = seal_greeting(info, self._box, self._entropy)
        self.server_key = server_key
        self.outbox.push_signal(encode(ClientInfoFrame(self._private.public.raw, sealed)))

    def next_event(self) -> ClientEvent | None:
        """Return what happened next, None when nothing did."""
        return self._events.popleft() if self._events else None

    def receive(self, data: bytes, now: float) -> None:
        """Take bytes from the server; faults end the session with `Disconnected`."""
        if self.phase is Phase.CLOSED:
            return
        self._heard_at = now
        self.counters.bytes_received += len(data)
        try:
            if self.phase is Phase.AWAIT_HTTP:
                data = self._receive_http(data)
            for kind, payload in self._decoder.feed(data) if data else ():
                self._receive_frame(kind, payload, now)
        except RemoteFaultError as error:
            self._close(error.fault, error.detail)

    def _receive_http(self, data: bytes) -> bytes:
        self._head += data
        head = parse_response_head(self._head)
        if head is None:
            return b""
        if head.status != 101:
            raise RemoteFaultError(
                Fault.BAD_HTTP, f"server answered {head.status} instead of switching to DERP"
            )
        self.phase = Phase.AWAIT_SERVER_KEY
        rest = bytes(self._head[head.length_bytes :])
        self._head.clear()
        return rest

    def _receive_frame(self, kind: int, payload: bytes, now: float) -> None:
        if kind == FrameType.RECV_PACKET and self.phase is Phase.OPEN:
            # The one frequent frame: no table, no second look at the payload.
            if not KEY_BYTES <= len(payload) <= KEY_BYTES + MAX_PACKET_BYTES:
                raise RemoteFaultError(Fault.BAD_LENGTH, f"RecvPacket of {len(payload)} bytes")
            self.counters.packets_received += 1
            self._events.append(RecvPacket(payload[:KEY_BYTES], payload[KEY_BYTES:]))
            return
        match self.phase:
            case Phase.AWAIT_SERVER_KEY:
                self._receive_server_key(kind, payload)
            case Phase.AWAIT_SERVER_INFO:
                self._receive_server_info(kind, payload, now)
            case Phase.OPEN:
                self._receive_open(kind, payload)
            case Phase.AWAIT_HTTP | Phase.CLOSED:
                return
            case _:
                assert_never(self.phase)

    def _receive_server_key(self, kind: int, payload: bytes) -> None:
        frame = decode(kind, payload) if kind == FrameType.SERVER_KEY else None
        if not isinstance(frame, ServerKey):
            raise RemoteFaultError(Fault.UNEXPECTED_FRAME, f"type {kind:#04x} before ServerKey")
        known = self._options.known_server_key
        if known is None:
            self._introduce(frame.key)
        elif frame.key != known:
            # We sealed our greeting to the key we were promised: this server cannot be it.
            raise RemoteFaultError(Fault.BAD_BOX, "server key differs from the one promised")
        self.phase = Phase.AWAIT_SERVER_INFO

    def _receive_server_info(self, kind: int, payload: bytes, now: float) -> None:
        frame = decode(kind, payload) if kind == FrameType.SERVER_INFO else None
        if not isinstance(frame, ServerInfoFrame) or self._box is None:
            return
        info = open_server_info(frame.sealed, self._box)
        if info.bytes_per_second > 0:
            limit = RateLimit(info.bytes_per_second, max(info.burst_bytes, 0))
            self._bucket = TokenBucket(limit, now)
        self.phase = Phase.OPEN
        self._events.append(RelayReady(self.server_key, info))

    def _receive_open(self, kind: int, payload: bytes) -> None:
        frame = decode(kind, payload)
        match frame:
            case Ping(echo):
                self.outbox.push_signal(encode(Pong(echo)))
            case PeerGone() | PeerPresent() | Health() | Restarting() | Pong():
                self._events.append(frame)
            case _:
                # KeepAlive has done its work by arriving; the rest is from some other version.
                pass

    def send_packet(self, destination: bytes, packet: bytes, now: float) -> bool:
        """Queue a packet for a peer; False when the server's advertised rate forbids it now."""
        if self.phase is not Phase.OPEN:
            raise UsageError(f"send_packet() while {self.phase.value}")
        if len(packet) > MAX_PACKET_BYTES:
            raise UsageError(f"packet of {len(packet)} bytes, limit {MAX_PACKET_BYTES}")
        kind = PacketKind.DISCO if is_disco(packet) else PacketKind.OTHER
        if self._bucket is not None:
            cost = HEADER_BYTES + KEY_BYTES + len(packet)
            if not self._bucket.try_take(cost, now):
                self.counters.drop(DropReason.QUEUE_TAIL, kind, len(packet))
                return False
        frame = pack_frame(FrameType.SEND_PACKET, destination, packet)
        self.outbox.push_packet(frame, kind, now)
        return True

    def forward_packet(self, source: bytes, destination: bytes, packet: bytes, now: float) -> None:
        """Queue a packet of one of our clients for a client of this mesh peer."""
        kind = PacketKind.DISCO if is_disco(packet) else PacketKind.OTHER
        self.outbox.push_packet(encode(ForwardPacket(source, destination, packet)), kind, now)

    def note_preferred(self, *, is_home: bool) -> None:
        """Say whether this relay is our home."""
        self._signal(encode(NotePreferred(is_home)))

    def ping(self, payload: bytes) -> None:
        """Ask for a Pong with the same eight bytes."""
        self._signal(encode(Ping(payload)))

    def watch(self) -> None:
        """Subscribe to who is connected; for mesh peers."""
        self._signal(encode(WatchConns()))

    def close_peer(self, peer: bytes) -> None:
        """Have the connections of a peer closed; for mesh peers."""
        self._signal(encode(ClosePeer(peer)))

    def pause_writing(self) -> None:
        """Note that the transport takes no more bytes for now; packets wait, then drop."""
        self.outbox.pause_writing()

    def resume_writing(self, now: float) -> None:
        """Note that the transport takes bytes again."""
        self.outbox.resume_writing(now)

    def disconnected(self, detail: str) -> None:
        """Note that the transport is gone."""
        self._close(Fault.READ_TIMEOUT, detail)

    def deadline(self) -> float | None:
        """Return when `on_deadline` has something to do."""
        if self.phase is Phase.CLOSED:
            return None
        if self.phase is Phase.OPEN:
            return self._heard_at + READ_TIMEOUT_S
        return self._connect_by

    def on_deadline(self, now: float) -> None:
        """End the session if its time is up."""
        due = self.deadline()
        if due is None or now < due:
            return
        if self.phase is Phase.OPEN:
            self._close(Fault.READ_TIMEOUT, f"silent for {READ_TIMEOUT_S:.0f} s")
        else:
            self._close(Fault.HANDSHAKE_TIMEOUT, f"{self.phase.value} after {CONNECT_S:.0f} s")

    def _signal(self, frame: bytes) -> None:
        if self.phase is not Phase.OPEN:
            raise UsageError(f"signal while {self.phase.value}")
        self.outbox.push_signal(frame)

    def _close(self, fault: Fault, detail: str) -> None:
        if self.phase is Phase.CLOSED:
            return
        self.phase = Phase.CLOSED
        self.outbox.discard(DropReason.GONE_DISCONNECTED)
        self._events.append(Disconnected(fault, detail))
