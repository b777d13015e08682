"""Driver of MagicDNS: UDP and TCP on one address, and questions to upstream resolvers.

It answers this host. What is visible here need not be so for other nodes: they are not answered,
whatever the packet filter lets through to port 53.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import time
from typing import Final

import dns.asyncquery
import dns.exception
import dns.message
import dns.rcode

from control.wire.tailnet_address import TAILNET
from node.dns.responder import Forward, Reply, respond, server_failure, truncated
from node.dns.zone import Zone
from node.transport.endpoint import Endpoint, InvalidEndpointError

__all__ = ["DnsServer"]

LOG = logging.getLogger("postern.dns")
_MOST_QUERIES: Final = 256
_FORWARD_S: Final = 10.0
_TCP_IDLE_S: Final = 45.0
_MOST_TCP_BYTES: Final = 4096
_PORT: Final = 53


class DnsServer:
    """Answers on one address. `zone` and `own` may be swapped at any time."""

    def __init__(self) -> None:
        self.zone = Zone()
        self.own: frozenset[str] = frozenset()
        """This node's own addresses in the tailnet; from others there nobody is answered."""
        self._running: set[asyncio.Task[None]] = set()
        self._transports: list[asyncio.DatagramTransport] = []
        self._servers: list[asyncio.Server] = []

    async def start(self, address: str, port: int = _PORT) -> None:
        """Listen. Raises OSError."""
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(
            lambda: _Udp(self), local_addr=(address, port)
        )
        self._transports.append(transport)
        bound = transport.get_extra_info("sockname")[1]
        self._servers.append(await asyncio.start_server(self._serve_tcp, address, bound))

    @property
    def port(self) -> int:
        """The port in use."""
        return int(self._transports[0].get_extra_info("sockname")[1])

    async def close(self) -> None:
        """Stop listening and give up what is being asked."""
        for transport in self._transports:
            transport.close()
        for server in self._servers:
            server.close()
        for task in list(self._running):
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    def take_udp(
        self, transport: asyncio.DatagramTransport, wire: bytes, source: tuple[str, int]
    ) -> None:
        """Answer a datagram, now or later; too many at once are dropped."""
        if len(self._running) >= _MOST_QUERIES or not self._may_ask(source[0]):
            return

        async def answer() -> None:
            reply = await self._answer(wire)
            if reply is not None and not transport.is_closing():
                transport.sendto(truncated(wire, reply), source)

        task = asyncio.create_task(answer(), name="dns")
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _serve_tcp(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while self._may_ask(writer.get_extra_info("peername")[0]):
                async with asyncio.timeout(_TCP_IDLE_S):
                    size = int.from_bytes(await reader.readexactly(2), "big")
                    if size > _MOST_TCP_BYTES:
                        return
                    wire = await reader.readexactly(size)
                reply = await self._answer(wire)
                if reply is None:
                    return
                writer.write(len(reply).to_bytes(2, "big") + reply)
                await writer.drain()
        except (asyncio.IncompleteReadError, TimeoutError, OSError):
            # The asker is done or gone.
            return
        finally:
            writer.close()

    def _may_ask(self, source: str) -> bool:
        ip = ipaddress.ip_address(source.partition("%")[0])
        return source in self.own or not any(ip in tailnet for tailnet in TAILNET)

    async def _answer(self, wire: bytes) -> bytes | None:
        match respond(self.zone, wire, int(time.time())):
            case None:
                return None
            case Reply(reply):
                return reply
            case Forward(query, resolvers):
                return await self._forward(query, resolvers)

    async def _forward(self, query: dns.message.QueryMessage, resolvers: tuple[str, ...]) -> bytes:
        """Ask all resolvers at once; the first good answer wins, then the first bad one."""
        tasks = [asyncio.create_task(_ask(query, resolver)) for resolver in resolvers]
        second_best: bytes | None = None
        try:
            for next_done in asyncio.as_completed(tasks):
                answer = await next_done
                if answer is None:
                    continue
                if answer.rcode() not in (dns.rcode.SERVFAIL, dns.rcode.REFUSED):
                    return answer.to_wire()
                second_best = second_best or answer.to_wire()
        finally:
            for task in tasks:
                task.cancel()
        return second_best or server_failure(query)


class _Udp(asyncio.DatagramProtocol):
    def __init__(self, server: DnsServer) -> None:
        self._server = server
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if self._transport is not None:
            self._server.take_udp(self._transport, data, addr)


async def _ask(query: dns.message.QueryMessage, resolver: str) -> dns.message.Message | None:
    try:
        where = Endpoint.parse(resolver)
    except InvalidEndpointError:
        host, port = resolver, _PORT
    else:
        host, port = str(where.ip), where.port
    try:
        answer, _ = await dns.asyncquery.udp_with_fallback(
            query, host, _FORWARD_S, port, ignore_unexpected=True, ignore_errors=True
        )
    except (dns.exception.DNSException, OSError, ValueError) as error:
        LOG.debug("resolver %s: %s", resolver, error)
        return None
    return answer
