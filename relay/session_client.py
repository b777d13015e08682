"""The client's end of one DERP connection, HTTP upgrade included.

`relay.opening` gets it to where packets flow; from there on `receive` takes bytes, `next_event`
yields what they meant, `outbox` holds what to write. Source: relay reference 1.3 to 1.7 and 1.15.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from relay.counters import Counters, DropReason, PacketKind
from relay.errors import Fault, RemoteFaultError, UsageError
from relay.frames import (
    HEADER_BYTES,
    KEY_BYTES,
    MAX_PACKET_BYTES,
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
    WatchConns,
    decode,
    encode,
    is_disco,
    pack_burst,
    pack_frame,
)
from relay.opening import ClientOptions, Opening, Phase
from relay.outbox import Outbox
from relay.ratelimit import RateLimit, TokenBucket

if TYPE_CHECKING:
    from collections.abc import Callable

    from control.keys import Entropy, NodePrivate
    from relay.handshake import ServerInfo

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
        self.counters = Counters()
        self.outbox = Outbox(self.counters, on_dirty)
        self._opening = Opening(private, options, self.outbox, entropy)
        self._is_closed = False
        self._decoder = FrameDecoder()
        self._events: deque[ClientEvent] = deque()
        self._bucket: TokenBucket | None = None
        self._connect_by = now + CONNECT_S
        self._heard_at = now

    @property
    def phase(self) -> Phase:
        """Where the session stands."""
        return Phase.CLOSED if self._is_closed else self._opening.phase

    @property
    def server_key(self) -> bytes:
        """The server's key as far as we were told, empty before."""
        return self._opening.server_key

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
                data = self._opening.receive_http(data)
            for kind, payload in self._decoder.feed(data) if data else ():
                self._receive_frame(kind, payload, now)
        except RemoteFaultError as error:
            self._close(error.fault, error.detail)

    def _receive_frame(self, kind: int, payload: bytes, now: float) -> None:
        if kind == FrameType.RECV_PACKET and self._opening.phase is Phase.OPEN:
            # The one frequent frame: no table, no second look at the payload.
            if not KEY_BYTES <= len(payload) <= KEY_BYTES + MAX_PACKET_BYTES:
                raise RemoteFaultError(Fault.BAD_LENGTH, f"RecvPacket of {len(payload)} bytes")
            self.counters.packets_received += 1
            self._events.append(RecvPacket(payload[:KEY_BYTES], payload[KEY_BYTES:]))
            return
        if self._opening.phase is Phase.OPEN:
            self._receive_open(kind, payload)
            return
        info = self._opening.receive_frame(kind, payload)
        if info is not None:
            self._welcome(info, now)

    def _welcome(self, info: ServerInfo, now: float) -> None:
        if info.bytes_per_second > 0:
            limit = RateLimit(info.bytes_per_second, max(info.burst_bytes, 0))
            self._bucket = TokenBucket(limit, now)
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

    def send_burst(self, destination: bytes, burst: bytes, segment: int, now: float) -> int:
        """Queue packets of `segment` bytes for a peer, the last perhaps shorter.

        Either all of them are path discovery or none is. Returns how many the server's advertised
        rate forbids now.
        """
        may_stream = self.phase is Phase.OPEN and self._bucket is None and self.outbox.can_stream
        if may_stream and segment < len(burst) and segment <= MAX_PACKET_BYTES:
            packets = -(-len(burst) // segment)
            self.outbox.stream(pack_burst(destination, burst, segment), packets)
            return 0
        return sum(
            not self.send_packet(destination, burst[at : at + segment], now)
            for at in range(0, len(burst), segment)
        )

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
        if self._is_closed:
            return
        self._is_closed = True
        self.outbox.discard(DropReason.GONE_DISCONNECTED)
        self._events.append(Disconnected(fault, detail))
