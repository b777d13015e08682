"""The server's end of one DERP connection, from the first frame on.

    start()                       ClientInfo ok                admit()
  ──────────► AWAIT_CLIENT_INFO ───────────────► AWAIT_VERDICT ───────► OPEN
                    │ fault, 10 s                    │ refuse(), 10 s    │ fault, silence
                    └───────────────────────────► CLOSED ◄──────────────┘

Bytes go in through `receive`, bytes come out of `outbox`; who may connect is asked of the driver
with `AdmissionAsked` and told with `admit` or `refuse`. What a client says first is the business
of `relay.welcome`, what it sends afterwards that of `relay.inflow`. Source: relay reference 1.6
to 1.11.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from relay.errors import Fault, RemoteFaultError, UsageError
from relay.fastpath import header_at
from relay.frames import (
    HEADER_BYTES,
    Health,
    IpAddress,
    KeepAlive,
    Restarting,
    ServerInfoFrame,
    ServerKey,
    encode,
)
from relay.handshake import ClientInfo, seal_greeting
from relay.inflow import BIGGEST_FRAME_BYTES, Inflow
from relay.outbox import Outbox
from relay.patience import HANDSHAKE_S, Due, Patience
from relay.ratelimit import RateLimit, TokenBucket
from relay.router import Connection, Router
from relay.welcome import Greeting, ServerIdentity, read_greeting

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "FRONT_BYTES",
    "AdmissionAsked",
    "ClientLeft",
    "Phase",
    "ServerSession",
    "SessionEvent",
]

MAX_UNREAD_BYTES = 1 << 20
"""What a driver may still hand over between AdmissionAsked and the verdict."""

FRONT_BYTES = BIGGEST_FRAME_BYTES
"""Room in front of what a driver reads, for the frame whose beginning came earlier."""


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
        self._needed = HEADER_BYTES
        self._greeting: Greeting | None = None
        self._inflow: Inflow | None = None
        self._bucket = TokenBucket(identity.rate, now)
        jitter = int.from_bytes(identity.entropy(2), "big") / 65_535
        self._patience = Patience(identity.write_timeout_s, jitter, now)
        self.outbox.push_signal(encode(ServerKey(identity.public)))

    @property
    def key(self) -> bytes:
        """The client's node key, empty until it proved one."""
        return self._greeting.key if self._greeting else b""

    @property
    def client_info(self) -> ClientInfo:
        """What the client said of itself."""
        return self._greeting.info if self._greeting else ClientInfo()

    @property
    def is_mesh_peer(self) -> bool:
        """Whether the client proved to be another server of the region."""
        return self._greeting is not None and self._greeting.is_mesh_peer

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
        if self.phase is Phase.AWAIT_VERDICT:
            if len(self._tail) > MAX_UNREAD_BYTES:
                self._close(Fault.BACKLOG, "too much sent before admission")
            return 0.0
        if len(self._tail) < self._needed:
            return 0.0
        # Runs that are handed on look into this buffer: what comes next goes into another.
        stream, self._tail = self._tail, bytearray()
        return self._advance(stream, 0, len(stream), now)

    def receive_within(self, buffer: bytearray, start: int, stop: int, now: float) -> float:
        """Take the bytes `buffer[start:stop]` without copying them; returns as `receive` does.

        The FRONT_BYTES before `start` are overwritten. What is forwarded stays in `buffer`:
        every outbox of the router must be taken and written before the buffer is used again.
        """
        if self.phase is not Phase.OPEN or len(self._tail) + stop - start < self._needed:
            return self.receive(memoryview(buffer)[start:stop], now)
        self._counters.bytes_received += stop - start
        front = start - len(self._tail)
        buffer[front:start] = self._tail
        self._tail = bytearray()
        return self._advance(buffer, front, stop, now)

    def _advance(self, stream: bytearray, start: int, end: int, now: float) -> float:
        """Go as far as whole frames go and keep the rest."""
        is_open = self._inflow is not None
        try:
            if self._inflow is not None:
                at = self._inflow.scan(stream, start, end, now)
            else:
                at = self._greet(stream, end, now)
        except RemoteFaultError as error:
            self._close(error.fault, error.detail)
            return 0.0
        if self.is_closed:
            return 0.0
        self._keep(stream, at, end)
        return self._bucket.charge(at - start, now) if is_open and not self.is_mesh_peer else 0.0

    def _keep(self, stream: bytearray, at: int, end: int) -> None:
        self._tail = stream[at:end]
        self._needed = HEADER_BYTES
        if end - at >= HEADER_BYTES:
            # Nothing can be done before the frame is whole: its pieces are only collected.
            self._needed += header_at(stream, at)[1]

    def _greet(self, stream: bytearray, end: int, now: float) -> int:
        found = read_greeting(stream, end, self._identity)
        if found is None:
            return 0
        self._greeting, stop = found
        self.phase = Phase.AWAIT_VERDICT
        self._patience.await_verdict(now)
        self._events.append(AdmissionAsked(self.key, self._address, self.client_info))
        return stop

    def admit(self, now: float) -> float:
        """Let the client in: register it and answer with ServerInfo; returns as `receive` does."""
        if self.phase is Phase.CLOSED:
            return 0.0
        greeting = self._greeting
        if self.phase is not Phase.AWAIT_VERDICT or greeting is None:
            raise UsageError(f"admit() while {self.phase.value}")
        self.phase = Phase.OPEN
        self._patience.open(is_mesh_peer=greeting.is_mesh_peer)
        sealed = seal_greeting(self._identity.info, greeting.box, self._identity.entropy)
        self.outbox.push_signal(encode(ServerInfoFrame(sealed)))
        self.connection = Connection(
            greeting.key,
            self.outbox,
            self._close_for,
            address=self._address,
            port=self._port,
            flags=greeting.flags(is_ideal=self._is_ideal),
            now=now,
        )
        self._router.register(self.connection)
        self._inflow = Inflow(self.connection, self._router)
        stream, self._tail = self._tail, bytearray()
        return self._advance(stream, 0, len(stream), now)

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
        self._patience.pause(now)
        self.outbox.pause_writing()

    def resume_writing(self, now: float) -> None:
        """Note that the transport takes bytes again."""
        self._patience.resume()
        self.outbox.resume_writing(now)

    def note_progress(self, now: float) -> None:
        """Restart the write timeout: the transport still is full, but some bytes left it."""
        self._patience.note_progress(now)

    def deadline(self) -> float | None:
        """Return when `on_deadline` has something to do."""
        return None if self.is_closed else self._patience.deadline()

    def on_deadline(self, now: float) -> None:
        """Do what is due: time out a handshake or a stuck write, send a keepalive."""
        if self.is_closed:
            return
        if self.outbox.is_overrun:
            self._close(Fault.BACKLOG, "too many unread signals")
            return
        match self._patience.take_due(now):
            case Due.GIVE_UP_GREETING:
                self._close(Fault.HANDSHAKE_TIMEOUT, f"no word after {HANDSHAKE_S:.0f} s")
            case Due.GIVE_UP_WRITING:
                self._counters.write_timeouts += 1
                self._close(Fault.WRITE_TIMEOUT, "client does not read")
            case Due.KEEPALIVE:
                self.outbox.push_signal(encode(KeepAlive()))
            case None:
                return

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
