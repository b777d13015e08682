"""Driver of `node.paths.portmap`: a socket of its own, HTTP to the router, and a timer.

Questions to the router need not leave from the socket that carries WireGuard: the mapping that
they ask for names our port.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from ipaddress import IPv4Address
from typing import TYPE_CHECKING, Final

import aiohttp

from node.hostnet.plan import BYPASS_MARK
from node.paths.portmap.dialogue import Fetch, Send
from node.paths.portmap.mapper import PortMapper
from node.paths.portmap.upnp import MAX_XML_BYTES
from node.transport.endpoint import Endpoint

if TYPE_CHECKING:
    from collections.abc import Callable

    from node.paths.netcheck.report import Report

__all__ = ["PortMapping", "marked_socket"]

LOG = logging.getLogger("postern.portmap")
_FETCH_S: Final = 3.0
_LEAVING_S: Final = 1.0
_MULTICAST_TTL: Final = 2
_ANNOUNCEMENTS: Final = ("224.0.0.1", 5350)
"""Where a router that started anew says so, by PCP and by NAT-PMP."""


def marked_socket(kind: socket.SocketKind) -> socket.socket:
    """Return an IPv4 socket whose packets never enter the tunnel."""
    sock = socket.socket(socket.AF_INET, kind)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, BYPASS_MARK)
    sock.setblocking(False)  # noqa: FBT003  the standard library's signature
    return sock


class PortMapping(asyncio.DatagramProtocol):
    """The mapping of one UDP port, kept for as long as this lives. Runs in the event loop."""

    def __init__(
        self,
        port: int,
        on_change: Callable[[], None],
        make_socket: Callable[[socket.SocketKind], socket.socket] = marked_socket,
    ) -> None:
        self._mapper = PortMapper(port, os.urandom)
        self._on_change = on_change
        self._make_socket = make_socket
        self._loop = asyncio.get_running_loop()
        self._gateway: IPv4Address | None = None
        self._client: IPv4Address | None = None
        self._transport: asyncio.DatagramTransport | None = None
        self._announcements: asyncio.DatagramTransport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._fetching: set[asyncio.Task[None]] = set()

    @property
    def external(self) -> Endpoint | None:
        """The router's address that leads to our port."""
        return self._mapper.external

    def note_in(self, report: Report) -> None:
        """Write into a netcheck report which protocols the router speaks."""
        if self._mapper.has_probed:
            spoken = {service.name for service in self._mapper.present}
            report.pcp, report.nat_pmp = "PCP" in spoken, "NAT_PMP" in spoken
            report.upnp = "UPNP" in spoken

    async def look(self, gateway: IPv4Address | None) -> None:
        """Take the default gateway of now; nothing happens unless it, or our side, changed.

        Raises OSError when a socket cannot be had; the next look tries again.
        """
        client = self._address_towards(gateway) if gateway is not None else None
        if (gateway, client) == (self._gateway, self._client):
            return
        self._close_sockets()
        self._gateway = self._client = None
        if client is not None:
            await self._open_sockets(client)
        self._gateway, self._client = gateway, client
        self._mapper.set_gateway(gateway, client, self._loop.time())
        self._pump()

    async def close(self) -> None:
        """Give the mapping back."""
        self._mapper.give_back()
        self._pump()
        if self._fetching:
            await asyncio.wait(self._fetching, timeout=_LEAVING_S)
        for task in self._fetching:
            task.cancel()
        await asyncio.gather(*self._fetching, return_exceptions=True)
        if self._timer is not None:
            self._timer.cancel()
        self._close_sockets()

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Take a datagram."""
        self._mapper.receive(data, Endpoint.from_sockaddr(addr), self._loop.time())
        self._pump()

    def error_received(self, exc: Exception) -> None:
        """Ignore what ICMP says: most routers do not speak most of these protocols."""

    async def _open_sockets(self, client: IPv4Address) -> None:
        self._transport = await self._listen((str(client), 0), client)
        try:
            self._announcements = await self._listen(_ANNOUNCEMENTS, client)
        except OSError as error:
            # A router that started anew is then noticed when it is asked, a minute later.
            LOG.debug("announcements of routers: %s", error)

    async def _listen(
        self, address: tuple[str, int], client: IPv4Address
    ) -> asyncio.DatagramTransport:
        sock = self._make_socket(socket.SOCK_DGRAM)
        try:
            # Others on this machine may listen for announcements as well.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, _MULTICAST_TTL)
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, client.packed)
            sock.bind(address)
            transport, _ = await self._loop.create_datagram_endpoint(lambda: self, sock=sock)
        except BaseException:
            sock.close()
            raise
        return transport

    def _close_sockets(self) -> None:
        for transport in (self._transport, self._announcements):
            if transport is not None:
                transport.close()
        self._transport = self._announcements = None

    def _address_towards(self, gateway: IPv4Address) -> IPv4Address | None:
        with self._make_socket(socket.SOCK_DGRAM) as probe:
            try:
                # Connecting a UDP socket sends nothing; the kernel only picks our address.
                probe.connect((str(gateway), 9))
                return IPv4Address(probe.getsockname()[0])
            except OSError as error:
                LOG.debug("router %s: %s", gateway, error)
                return None

    def _pump(self) -> None:
        for command in self._mapper.transmit():
            match command:
                case Send(datagram, to):
                    if self._transport is not None:
                        self._transport.sendto(datagram, to.address[:2])
                case Fetch():
                    task = self._loop.create_task(self._fetch(command), name="portmap-fetch")
                    self._fetching.add(task)
                    task.add_done_callback(self._fetching.discard)
        while (event := self._mapper.next_event()) is not None:
            if event.external is not None and event.service is not None:
                LOG.info("the router maps %s to us (%s)", event.external, event.service.value)
            else:
                LOG.info("the router maps no port to us any more: %s", event.reason)
            self._on_change()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        due = self._mapper.deadline()
        if due is not None:
            self._timer = self._loop.call_at(due, self._on_timer)

    def _on_timer(self) -> None:
        self._mapper.on_deadline(self._loop.time())
        self._pump()

    async def _fetch(self, wanted: Fetch) -> None:
        status, body = 0, b""
        try:
            connector = aiohttp.TCPConnector(
                socket_factory=lambda _info: self._make_socket(socket.SOCK_STREAM)
            )
            timeout = aiohttp.ClientTimeout(total=_FETCH_S)
            async with (
                aiohttp.ClientSession(connector=connector, timeout=timeout) as session,
                session.request(
                    "GET" if wanted.body is None else "POST",
                    wanted.url,
                    headers=wanted.headers,
                    data=wanted.body,
                    # Only ever the router itself (relay reference 3.15).
                    allow_redirects=False,
                ) as answer,
            ):
                # One byte more than is taken, so that a flood is told from a description.
                body = await answer.content.read(MAX_XML_BYTES + 1)
                while len(body) <= MAX_XML_BYTES and not answer.content.at_eof():
                    body += await answer.content.read(MAX_XML_BYTES + 1 - len(body))
                status = answer.status
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            LOG.debug("router %s: %s", wanted.url, error)
        self._mapper.fetched(wanted.number, status, body, self._loop.time())
        self._pump()
