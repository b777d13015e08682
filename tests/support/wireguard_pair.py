"""Two WireGuard devices, a clock that tests move, and a link that tests watch and break."""

from __future__ import annotations

import hashlib
import ipaddress
from typing import TYPE_CHECKING

from node.transport.endpoint import Endpoint
from node.wireguard.device import Device
from node.wireguard.events import Datagram, Event, PacketReceived
from node.wireguard.keys import SecretKey
from node.wireguard.messages import MessageType, message_type

if TYPE_CHECKING:
    from collections.abc import Callable

    from node.wireguard.peer import Peer

WALL_NS = 1_700_000_000_000_000_000


class SeededEntropy:
    """Bytes that look random and are the same in every run."""

    def __init__(self, seed: bytes) -> None:
        self._seed = seed
        self._counter = 0

    def __call__(self, count: int) -> bytes:
        self._counter += 1
        material = self._seed + self._counter.to_bytes(8, "big")
        return hashlib.shake_128(material).digest(count)


class Clock:
    """Monotonic seconds, and a wall clock beside them that may jump."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.wall_offset_ns = 0

    def unix_ns(self) -> int:
        return WALL_NS + int(self.now * 1e9) + self.wall_offset_ns


class Side:
    """One end: device, its address, what reached it."""

    def __init__(self, name: str, address: str, inner: str, clock: Clock) -> None:
        self.name = name
        self.entropy = SeededEntropy(name.encode())
        self.private = SecretKey.generate(self.entropy)
        self.clock = clock
        self.endpoint = Endpoint.parse(address)
        self.inner = ipaddress.ip_address(inner)
        self.device = self.new_device()
        self.events: list[Event] = []

    def new_device(self) -> Device:
        return Device(
            SecretKey(self.private.reveal()), entropy=self.entropy, unix_ns=self.clock.unix_ns
        )

    @property
    def packets(self) -> list[bytes]:
        return [event.packet for event in self.events if isinstance(event, PacketReceived)]

    def knows(self, other: Side, preshared: SecretKey | None, *, endpoint: bool = True) -> Peer:
        peer = self.device.add_peer(other.private.public(), preshared)
        self.device.allowed_ips.insert(ipaddress.ip_network(other.inner), peer)
        if endpoint:
            peer.path = other.endpoint
        return peer


class Pair:
    """Two ends and the link between them. `wire` holds every datagram sent, with its sender."""

    def __init__(self, *, preshared: bool = True) -> None:
        self.clock = Clock()
        self.a = Side("a", "192.0.2.1:1111", "10.0.0.1", self.clock)
        self.b = Side("b", "192.0.2.2:2222", "10.0.0.2", self.clock)
        psk = SecretKey(self.a.entropy(32)) if preshared else None
        self.preshared = psk
        self.peer_of_a = self.a.knows(self.b, psk)
        self.peer_of_b = self.b.knows(self.a, psk)
        self.wire: list[tuple[Side, Datagram]] = []
        self.deliver: Callable[[Side, Datagram], bool] = lambda *_: True

    def other(self, side: Side) -> Side:
        return self.b if side is self.a else self.a

    def kinds(self) -> list[tuple[str, str]]:
        """Sender and message type of all that crossed the wire."""
        return [(side.name, kind_of(datagram.data)) for side, datagram in self.wire]

    def settle(self) -> None:
        """Carry datagrams until nobody has anything to say now."""
        busy = True
        while busy:
            busy = False
            for side in (self.a, self.b):
                due = side.device.deadline()
                if due is not None and due <= self.clock.now:
                    side.device.on_deadline(self.clock.now)
                for datagram in side.device.transmit():
                    busy = True
                    self.wire.append((side, datagram))
                    other = self.other(side)
                    if datagram.path == other.endpoint and self.deliver(side, datagram):
                        other.device.receive(datagram.data, side.endpoint, self.clock.now)
                while (event := side.device.next_event()) is not None:
                    side.events.append(event)
                due = side.device.deadline()
                busy = busy or (due is not None and due <= self.clock.now)

    def advance(self, seconds: float) -> None:
        """Let time pass, stopping at every timer on the way."""
        end = self.clock.now + seconds
        while True:
            self.settle()
            dues = [side.device.deadline() for side in (self.a, self.b)]
            due = min((at for at in dues if at is not None), default=end)
            if due >= end:
                break
            self.clock.now = max(due, self.clock.now)
        self.clock.now = end
        self.settle()

    def send(self, side: Side, packet: bytes | None = None) -> bytes:
        """Send an inner packet from a side to the other and settle."""
        packet = ipv4_packet(side.inner, self.other(side).inner) if packet is None else packet
        peer = self.peer_of_a if side is self.a else self.peer_of_b
        side.device.send(peer, packet, self.clock.now)
        self.settle()
        return packet


def ipv4_packet(
    source: ipaddress.IPv4Address | ipaddress.IPv6Address,
    destination: ipaddress.IPv4Address | ipaddress.IPv6Address,
    payload: bytes = b"hello",
) -> bytes:
    """Return an IPv4 packet of protocol 17 without a checksum: enough for WireGuard."""
    total = 20 + len(payload)
    return (
        b"\x45\x00"
        + total.to_bytes(2, "big")
        + bytes(4)
        + b"\x40\x11\x00\x00"
        + source.packed
        + destination.packed
        + payload
    )


def kind_of(data: bytes) -> str:
    """Return a short name of a message; keepalives are their own kind."""
    kind = message_type(data)
    if kind is None:
        return "noise"
    if kind is MessageType.TRANSPORT and len(data) == 32:
        return "keepalive"
    return kind.name.lower()
