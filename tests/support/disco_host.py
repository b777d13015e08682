"""A node's path discovery on real sockets: path book, STUN and a relay client, nothing else.

Stands in for the agent where only paths are under test. The machines' clock may run faster than
the wall's: NATs do not care, and a test that waits for nothing to happen is over sooner.
"""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from control.keys import DiscoPrivate, NodePrivate
from node.agent.port_mapping import PortMapping
from node.disco.sealing import MAGIC
from node.paths.birthday_rounds import OwnNat
from node.paths.book import PathBook, PeerAddresses
from node.paths.news import (
    EndpointsWanted,
    PathChanged,
    PathKind,
    PathNews,
    SparesWanted,
    ToAddress,
    ToRelay,
)
from node.paths.prediction import predict
from node.transport.endpoint import Endpoint
from node.transport.spares import SpareSockets
from relay.dial import RelayClient
from relay.frames import RecvPacket
from relay.server.tls import client_context
from relay.session_client import ClientOptions
from relay.stun import NotStunError, encode_request, is_stun, parse_response

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from ipaddress import IPv4Address

    from relay.session_client import ClientEvent

REGION = 1
STUN_RETRY_S = 0.15
STUN_TRIES = 3
MAPPING_S = 10.0


@dataclass
class DiscoHost(asyncio.DatagramProtocol):
    """One node behind one UDP socket."""

    clock_rate: float = 1.0
    predicts: bool = True
    """Whether to tell the peer where our NAT may let us appear next."""
    guesses: bool = True
    """Whether to guess ports with peers, where a NAT is hard."""
    open_spare: Callable[[], socket.socket] | None = None
    """Opens another socket of this host; without it spare sockets send nothing."""
    history: list[tuple[float, PathChanged]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._started_at = self._loop.time()
        self.private = NodePrivate.generate(os.urandom)
        self.key = self.private.public.raw
        self.book = PathBook(DiscoPrivate.generate(os.urandom), self.key, os.urandom)
        self.spares = SpareSockets(self._open_spare)
        self.most_spares = 0
        self._loop.add_reader(self.spares.fileno(), self._read_spares)
        self._is_closed = False
        self._timer: asyncio.TimerHandle | None = None
        self.endpoints: set[Endpoint] = set()
        self.mapping: PortMapping | None = None
        self.relay: RelayClient | None = None
        self.heard_by_relay: list[bytes] = []
        self.sent_datagrams = 0
        self._asked: dict[bytes, str] = {}
        self._seen_by: dict[str, Endpoint] = {}
        self._transport: asyncio.DatagramTransport | None = None
        self._transport6: asyncio.DatagramTransport | None = None

    def now(self) -> float:
        """Return the machines' time."""
        return 1000.0 + (self._loop.time() - self._started_at) * self.clock_rate

    async def open(self, udp: socket.socket) -> None:
        """Take a bound UDP socket in place of the one before."""
        if self._transport is not None:
            self._transport.close()
        self._transport, _ = await self._loop.create_datagram_endpoint(lambda: self, sock=udp)

    async def open6(self, udp: socket.socket) -> None:
        """Take an IPv6 socket beside the first."""
        self._transport6, _ = await self._loop.create_datagram_endpoint(lambda: self, sock=udp)

    async def join_relay(self, tcp: socket.socket, address: tuple[str, int]) -> None:
        """Connect to a relay over TLS, with a socket of our own namespace."""
        await self._loop.sock_connect(tcp, address)
        options = ClientOptions(host=address[0])
        _transport, self.relay = await self._loop.create_connection(
            lambda: RelayClient(self.private, options, self._on_relay_event),
            sock=tcp,
            ssl=client_context(verify=False),
            server_hostname=address[0],
        )
        await self.relay.welcomed

    async def find_endpoints(self, servers: list[tuple[str, int]]) -> None:
        """Ask STUN servers for our address, a few times; blocked UDP finds none."""
        for _ in range(STUN_TRIES):
            for server in servers:
                transaction = os.urandom(12)
                self._asked[transaction] = server[0]
                self._send(encode_request(transaction), server)
            await asyncio.sleep(STUN_RETRY_S)
            if self.endpoints:
                break
        self.tell_endpoints()

    async def map_port(
        self, router: IPv4Address, make_socket: Callable[[socket.SocketKind], socket.socket]
    ) -> None:
        """Ask a router for a port; returns when it has given one. Raises TimeoutError."""
        assert self._transport is not None
        changed = asyncio.Event()
        port = self._transport.get_extra_info("sockname")[1]
        self.mapping = PortMapping(port, changed.set, make_socket)
        await self.mapping.look(router)
        async with asyncio.timeout(MAPPING_S):
            await changed.wait()
        self.tell_endpoints()

    def tell_endpoints(self) -> None:
        """Have the peer told of what we know of ourselves."""
        mapped = self.mapping.external if self.mapping is not None else None
        own = {*self.endpoints, mapped} if mapped is not None else self.endpoints
        seen = list(self._seen_by.values())
        predicted = predict(seen) if self.predicts else ()
        if self.guesses and len(seen) > 1:
            self.book.set_own_nat(OwnNat(seen[0], is_hard=len(set(seen)) > 1))
        self.book.set_own_endpoints([*own, *predicted], self.now())

    def addresses(self) -> PeerAddresses:
        """Return what a netmap would tell of us."""
        return PeerAddresses(self.key, self.book.disco_key, (), REGION)

    def meet(self, peer: DiscoHost) -> None:
        """Take another node as our one peer."""
        self.book.set_peers([peer.addresses()], self.now())

    def send(self, peer: DiscoHost, packet: bytes) -> None:
        """Send one user packet the way the path says."""
        route = self.book.route(peer.key, self.now())
        if route is not None and route.by_relay and self.relay is not None:
            self.relay.send_packet(peer.key, packet)
        self.pump()

    def kind(self, peer: DiscoHost) -> PathKind:
        """Return how packets to the peer travel."""
        path = self.book.path(peer.key)
        return path.kind(self.now()) if path else PathKind.RELAYED

    def datagram_received(self, data: bytes, addr: tuple[str, int], spare: int = 0) -> None:
        """Sort what arrives, as the agent's transport does."""
        source = Endpoint.from_sockaddr(addr)
        if is_stun(data):
            try:
                binding = parse_response(data)
            except NotStunError:
                return
            mapped = Endpoint(binding.address, binding.port)
            self.endpoints.add(mapped)
            if mapped.ip.version == 4:
                # The laboratory's servers answer in the order in which they are asked.
                self._seen_by.setdefault(self._asked[binding.transaction], mapped)
        elif data.startswith(MAGIC):
            self.book.receive_udp(data, source, self.now(), spare)
            self.pump()

    def error_received(self, exc: Exception) -> None:
        """Ignore ICMP errors: candidates that lead nowhere cause them all the time."""

    def _open_spare(self) -> socket.socket:
        if self.open_spare is None:
            raise OSError("this host has one socket")
        return self.open_spare()

    def _read_spares(self) -> None:
        for spare, sock in self.spares.ready():
            if sock.fileno() >= 0:
                data, address = sock.recvfrom(65536)
                self.datagram_received(data, address, spare)

    def _on_relay_event(self, event: ClientEvent) -> None:
        if not isinstance(event, RecvPacket):
            return
        if event.packet.startswith(MAGIC):
            self.book.receive_relay(event.packet, event.source, REGION, self.now())
            self.pump()
        else:
            self.heard_by_relay.append(event.packet)

    def pump(self) -> None:
        """Serve timers, send what the book wants sent, note what it says."""
        due = self.book.deadline()
        if due is not None and due <= self.now():
            self.book.on_deadline(self.now())
        for packet in self.book.transmit():
            match packet:
                case ToAddress(data, endpoint, spare) if spare:
                    self.spares.send(spare, data, endpoint)
                    self.sent_datagrams += 1
                    self.most_spares = max(self.most_spares, len(self.spares))
                case ToAddress(data, endpoint):
                    self._send(data, endpoint.address[:2])
                case SparesWanted(opening, bound):
                    self.spares.keep(opening, bound)
                case ToRelay(data, node_key, _region):
                    if self.relay is not None:
                        self.relay.send_packet(node_key, data)
        while (event := self.book.next_event()) is not None:
            match event:
                case EndpointsWanted():
                    self.tell_endpoints()
                case PathNews(event=PathChanged() as changed):
                    self.history.append((self._loop.time() - self._started_at, changed))
        self._arm()

    def _arm(self) -> None:
        """Wake up when the book has something to do."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        due = self.book.deadline()
        if due is not None and not self._is_closed:
            wait_s = max(0.0, due - self.now()) / self.clock_rate
            self._timer = self._loop.call_later(wait_s, self.pump)

    def _send(self, data: bytes, address: tuple[str, int]) -> None:
        bound = self.spares.bound.get(Endpoint.from_text(*address)) if self.spares.bound else None
        if bound is not None:
            bound.sendto(data, address)
            self.sent_datagrams += 1
            return
        transport = self._transport6 if ":" in address[0] else self._transport
        if transport is not None:
            transport.sendto(data, address)
            self.sent_datagrams += 1

    async def close(self) -> None:
        """Give sockets back, and the mapping."""
        self._is_closed = True
        self._arm()
        self._loop.remove_reader(self.spares.fileno())
        self.spares.close()
        if self.mapping is not None:
            await self.mapping.close()
        if self.relay is not None:
            self.relay.close()
        for transport in (self._transport, self._transport6):
            if transport is not None:
                transport.close()
