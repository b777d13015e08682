"""An in-memory relay: one router, server sessions, and clients joined to them by byte strings."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv4Address
from random import Random
from typing import TYPE_CHECKING

from control.keys import MeshKey, NodePrivate
from relay.counters import Counters
from relay.frames import RecvPacket
from relay.router import Router
from relay.session_client import ClientEvent, ClientOptions, ClientSession
from relay.session_server import FRONT_BYTES, AdmissionAsked, ClientLeft, ServerSession
from relay.welcome import ServerIdentity

if TYPE_CHECKING:
    from relay.outbox import Outbox

READ_BYTES = 64 * 1024
POISON = b"overwritten by the next read"
MESH_KEY = MeshKey(b"\xab" * 32)


class SeededEntropy:
    """Reproducible bytes for machines that ask for randomness."""

    def __init__(self, seed: int = 1) -> None:
        self._random = Random(seed)  # noqa: S311  reproducible on purpose

    def __call__(self, count: int) -> bytes:
        return self._random.randbytes(count)


def drain(outbox: Outbox) -> bytes:
    """Return everything an outbox wants written."""
    return b"".join(outbox.take())


@dataclass
class Wire:
    """One client and the server session that serves it."""

    client: ClientSession
    server: ServerSession
    private: NodePrivate
    events: list[ClientEvent] = field(default_factory=list)
    left: ClientLeft | None = None

    @property
    def key(self) -> bytes:
        """The client's node key."""
        return self.private.public.raw

    @property
    def packets(self) -> list[RecvPacket]:
        """What the client received so far."""
        return [event for event in self.events if isinstance(event, RecvPacket)]


class Lab:
    """A relay with any number of clients; `settle` carries bytes until nothing moves."""

    def __init__(self, seed: int = 1, mesh_key: MeshKey | None = MESH_KEY) -> None:
        self.entropy = SeededEntropy(seed)
        self.now = 1000.0
        self.router = Router(Counters())
        self.identity = ServerIdentity(
            NodePrivate.generate(self.entropy), self.entropy, mesh_key=mesh_key
        )
        self.wires: list[Wire] = []
        self.buffer = bytearray(FRONT_BYTES + READ_BYTES)

    def session(self) -> ServerSession:
        """Return a fresh server session without a client."""
        return ServerSession(
            self.identity,
            self.router,
            address=IPv4Address("192.0.2.7"),
            port=4000 + len(self.wires),
            on_dirty=lambda: None,
            now=self.now,
        )

    def join(self, private: NodePrivate | None = None, mesh_key: MeshKey | None = None) -> Wire:
        """Connect a client and wait until the relay accepted it."""
        private = private or NodePrivate.generate(self.entropy)
        options = ClientOptions(mesh_key=mesh_key)
        client = ClientSession(private, options, entropy=self.entropy, now=self.now)
        wire = Wire(client, self.session(), private)
        self.wires.append(wire)
        self.settle()
        return wire

    def settle(self) -> None:
        """Carry bytes both ways, admit whoever asks, until nothing moves any more."""
        moved = True
        while moved:
            moved = any([self._step(wire) for wire in self.wires])  # noqa: C419  step every one

    def read(self, wire: Wire, data: bytes) -> None:
        """Have the server read bytes as the TCP driver does: in place, into a shared buffer.

        What is forwarded is taken at once; then the buffer is overwritten, as by the next read.
        """
        for at in range(0, len(data), READ_BYTES):
            part = data[at : at + READ_BYTES]
            stop = FRONT_BYTES + len(part)
            self.buffer[FRONT_BYTES:stop] = part
            wire.server.receive_within(self.buffer, FRONT_BYTES, stop, self.now)
            taken = [(other, drain(other.server.outbox)) for other in self.wires]
            self.buffer[:] = POISON * (len(self.buffer) // len(POISON)) + bytes(
                len(self.buffer) % len(POISON)
            )
            for other, down in taken:
                other.client.receive(down, self.now)
        self.settle()

    def _step(self, wire: Wire) -> bool:
        up, down = drain(wire.client.outbox), drain(wire.server.outbox)
        if up:
            wire.server.receive(up, self.now)
        if down:
            wire.client.receive(down, self.now)
        while (event := wire.server.next_event()) is not None:
            if isinstance(event, AdmissionAsked):
                wire.server.admit(self.now)
            else:
                wire.left = event
        while (heard := wire.client.next_event()) is not None:
            wire.events.append(heard)
        return bool(up or down)
