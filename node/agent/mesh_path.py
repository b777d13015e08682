"""The packet path of a mesh node: the plain one, with a path book and relays beside it.

Everything here runs in the packet loop's thread. What leaves it goes through `Outside`, which the
agent's event loop implements; what comes in is handed over with `PacketLoop.call`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from node.agent.relay_burst import RelayBurst
from node.datapath.pipeline import PythonDataPath
from node.disco.sealing import MAGIC
from node.paths.news import PathChanged, PathNews, SparesWanted, ToAddress, ToRelay
from node.transport.demux import DatagramKind
from node.transport.endpoint import Endpoint

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterable

    from node.agent.mesh_device import MeshDevice
    from node.agent.mesh_transport import MeshTransport, RelaySend
    from node.datapath.tun import Tun
    from node.paths.book import PathBook
    from node.paths.news import BookEvent
    from node.wireguard.path import Path

__all__ = ["MeshDataPath", "Outside"]


class Outside(Protocol):
    """What the packet path tells the agent. Called from the packet loop's thread."""

    def relay(self, bursts: list[RelaySend]) -> None:
        """Send bursts by relay."""

    def stun(self, datagram: bytes, now: float) -> None:
        """Take a STUN datagram."""

    def path_news(self, event: BookEvent) -> None:
        """Take what the path book reports."""


class MeshDataPath(PythonDataPath):
    """Adds disco, path choice and relays to the plain packet path."""

    def __init__(
        self, tun: Tun, transport: MeshTransport, device: MeshDevice, book: PathBook, out: Outside
    ) -> None:
        super().__init__(tun, transport, device)
        self._mesh_transport = transport
        self._mesh_device = device
        self.book = book
        self._out = out
        self._spare = 0
        """The number of the spare socket that is being read, 0 for a main one."""
        self._inbound.foreign = self._take_foreign

    def from_relay(self, received: Iterable[tuple[bytes, int, bytes]], now: float) -> None:
        """Take datagrams that relays brought: node key that sent each, region, bytes.

        What one peer sent behind one another is taken as the burst that it was.
        """
        burst = RelayBurst(self._inbound.buffer)
        for node_key, region, datagram in received:
            if datagram.startswith(MAGIC):
                self.book.receive_relay(datagram, node_key, region, now)
            elif node_key in self.device.peers and not burst.add(node_key, region, datagram):
                self._take_burst(burst, now)
                burst.add(node_key, region, datagram)
        self._take_burst(burst, now)
        self._carry_out()

    def _take_burst(self, burst: RelayBurst, now: float) -> None:
        if burst.way is not None:
            self._inbound.take(burst.size, burst.segment, burst.way, now)
            burst.clear()

    def send_stun(self, datagram: bytes, endpoint: Endpoint) -> None:
        """Send a STUN question from the sockets that carry WireGuard."""
        self._mesh_transport.send(endpoint, datagram, len(datagram))

    def sources(self) -> dict[int, Callable[[float], bool]]:
        """Return what to wait for: the sockets, and all spare ones as one."""
        spares = self._mesh_transport.spares.fileno()
        return super().sources() | {spares: self.from_spares}

    def from_spares(self, now: float) -> bool:
        """Take what spare sockets have, those that carry a path among them."""
        more = False
        spares = self._mesh_transport.spares
        for self._spare, sock in spares.ready():
            if sock.fileno() >= 0:
                more |= self.from_socket(sock, now)
        self._spare = 0
        return more

    def from_socket(self, sock: socket.socket, now: float) -> bool:
        """Take what a socket has; tell the book who was heard."""
        more = super().from_socket(sock, now)
        heard = self._mesh_device.heard
        if heard:
            self._mesh_device.heard = {}
            for node_key, path in heard.items():
                endpoint = path if isinstance(path, Endpoint) else None
                self.book.note_heard(node_key, endpoint, now)
        return more

    def deadline(self) -> float | None:
        """Return when `on_deadline` has something to do."""
        first, second = super().deadline(), self.book.deadline()
        if first is None or second is None:
            return second if first is None else first
        return min(first, second)

    def on_deadline(self, now: float) -> None:
        """Run the timers of the packet path and of the path book."""
        due = self.book.deadline()
        if due is not None and due <= now:
            self.book.on_deadline(now)
        super().on_deadline(now)

    def settle(self) -> None:
        """Send what a change from outside made due."""
        self._carry_out()

    def _take_foreign(self, kind: DatagramKind, datagram: bytes, path: Path, now: float) -> None:
        if not isinstance(path, Endpoint):
            return
        if kind is DatagramKind.STUN:
            self._out.stun(datagram, now)
        else:
            self.book.receive_udp(datagram, path, now, self._spare)

    def _carry_out(self) -> None:
        super()._carry_out()
        for packet in self.book.transmit():
            match packet:
                case ToAddress(data, endpoint, spare) if spare:
                    self._mesh_transport.spares.send(spare, data, endpoint)
                case ToAddress(data, endpoint):
                    self._mesh_transport.send(endpoint, data, len(data))
                case ToRelay(data, node_key, region):
                    self._mesh_transport.by_relay.append((node_key, region, data, len(data)))
                case SparesWanted():
                    self._mesh_transport.keep_spares(packet)
        while (event := self.book.next_event()) is not None:
            if isinstance(event, PathNews) and isinstance(event.event, PathChanged):
                self._mesh_transport.forget_routes()
            self._out.path_news(event)
        bursts, self._mesh_transport.by_relay = self._mesh_transport.by_relay, []
        if bursts:
            self._out.relay(bursts)
