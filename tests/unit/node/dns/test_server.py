"""MagicDNS on sockets: its own names, split DNS, everything else, and resolvers that fail."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import dns.asyncquery
import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest

from control.wire import DnsConfig, Resolver
from node.agent.names import own_addresses
from node.dns.server import DnsServer
from node.dns.zone import zone_of
from tests.support.netmaps import DOMAIN, netmap, wire_node

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

HERE = "127.0.0.1"
LIMIT_S = 30.0


@dataclass
class Upstream(asyncio.DatagramProtocol):
    """A resolver with one answer to everything: an address, an error, or only over TCP."""

    answer: str
    asked: list[str] = field(default_factory=list)
    transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.transport.sendto(self.respond(data, is_udp=True), addr)

    def respond(self, data: bytes, *, is_udp: bool) -> bytes:
        query = dns.message.from_wire(data)
        name = query.question[0].name
        self.asked.append(name.to_text(omit_final_dot=True))
        response = dns.message.make_response(query)
        if self.answer.startswith("tcp:") and is_udp:
            response.flags |= dns.flags.TC
        elif self.answer.isupper():
            response.set_rcode(dns.rcode.from_text(self.answer))
        else:
            text = self.answer.removeprefix("tcp:")
            response.answer.append(dns.rrset.from_text(name, 60, "IN", "A", text))
        return response.to_wire()

    async def serve_tcp(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        size = int.from_bytes(await reader.readexactly(2), "big")
        wire = self.respond(await reader.readexactly(size), is_udp=False)
        writer.write(len(wire).to_bytes(2, "big") + wire)
        await writer.drain()
        writer.close()


@asynccontextmanager
async def upstream(answer: str) -> AsyncIterator[tuple[Upstream, Resolver]]:
    made = Upstream(answer)
    loop = asyncio.get_running_loop()
    server = None
    while server is None:
        transport, _ = await loop.create_datagram_endpoint(lambda: made, local_addr=(HERE, 0))
        port = transport.get_extra_info("sockname")[1]
        try:
            server = await asyncio.start_server(made.serve_tcp, HERE, port)
        except OSError:
            # Somebody else has that port on TCP.
            transport.close()
    try:
        yield made, Resolver(addr=f"{HERE}:{port}")
    finally:
        transport.close()
        server.close()


@asynccontextmanager
async def answering(config: DnsConfig, own: tuple[str, ...] = ()) -> AsyncIterator[DnsServer]:
    server = DnsServer()
    await server.start(HERE, 0)
    server.zone = zone_of(netmap(wire_node(2, "web"), dns_config=config), own)
    try:
        yield server
    finally:
        await server.close()


def tailnet(**values: Any) -> DnsConfig:
    routes = {DOMAIN: (), "64.100.in-addr.arpa": (), **values.pop("routes", {})}
    return DnsConfig(domains=(DOMAIN,), proxied=True, routes=routes, **values)


async def ask(server: DnsServer, name: str, kind: str = "A", *, over_tcp: bool = False) -> str:
    query = dns.message.make_query(name, kind)
    way = dns.asyncquery.tcp if over_tcp else dns.asyncquery.udp
    response = await way(query, HERE, LIMIT_S, server.port)
    assert response.id == query.id
    texts = [item.to_text() for rrset in response.answer for item in rrset]
    return " ".join(texts) or dns.rcode.to_text(response.rcode())


@pytest.mark.parametrize("over_tcp", [False, True])
async def test_own_names_are_answered_both_ways_round(over_tcp: bool) -> None:
    async with answering(tailnet()) as server:
        assert await ask(server, f"web.{DOMAIN}", over_tcp=over_tcp) == "100.64.0.2"
        pointer = await ask(server, "2.0.64.100.in-addr.arpa", "PTR", over_tcp=over_tcp)
        assert pointer == f"web.{DOMAIN}."
        assert await ask(server, f"nobody.{DOMAIN}", over_tcp=over_tcp) == "NXDOMAIN"


async def test_split_suffix_goes_to_its_resolver_and_the_rest_elsewhere() -> None:
    async with upstream("10.0.0.9") as (corp, at_corp), upstream("192.0.2.9") as (world, at_world):
        config = tailnet(routes={"corp.example": (at_corp,)}, resolvers=(at_world,))
        async with answering(config) as server:
            assert await ask(server, "git.corp.example") == "10.0.0.9"
            assert await ask(server, "www.example.net") == "192.0.2.9"
            assert await ask(server, f"web.{DOMAIN}") == "100.64.0.2"
        assert (corp.asked, world.asked) == (["git.corp.example"], ["www.example.net"])


async def test_hosts_own_resolver_comes_before_the_fallback() -> None:
    async with upstream("10.0.0.9") as (_, own), upstream("192.0.2.9") as (fallback, last):
        config = tailnet(fallback_resolvers=(last,))
        async with answering(config, (own.addr,)) as server:
            assert await ask(server, "www.example.net") == "10.0.0.9"
            assert fallback.asked == []
        async with answering(config) as server:
            assert await ask(server, "www.example.net") == "192.0.2.9"


async def test_good_answer_wins_over_a_failing_resolver() -> None:
    async with upstream("SERVFAIL") as (_, bad), upstream("192.0.2.9") as (_, good):
        async with answering(tailnet(resolvers=(bad, good))) as server:
            assert await ask(server, "www.example.net") == "192.0.2.9"
        async with answering(tailnet(resolvers=(bad,))) as server:
            assert await ask(server, "www.example.net") == "SERVFAIL"


async def test_cut_off_answer_is_fetched_whole() -> None:
    async with upstream("tcp:192.0.2.9") as (world, at_world):
        async with answering(tailnet(resolvers=(at_world,))) as server:
            assert await ask(server, "www.example.net") == "192.0.2.9"
        assert len(world.asked) == 2


async def test_nobody_to_ask_is_said() -> None:
    async with answering(tailnet()) as server:
        assert await ask(server, "www.example.net") == "SERVFAIL"


@pytest.mark.parametrize(
    ("source", "is_answered"),
    [
        ("127.0.0.1", True),
        ("172.17.0.2", True),
        ("100.64.0.1", True),
        ("fd7a:115c:a1e0::1", True),
        ("100.100.100.100", True),
        ("100.64.0.2", False),
        ("fd7a:115c:a1e0::2", False),
    ],
)
async def test_other_nodes_learn_nothing(source: str, *, is_answered: bool) -> None:
    async with answering(DnsConfig(domains=(DOMAIN,), proxied=True)) as server:
        server.own = frozenset(own_addresses(netmap()))
        sent: list[bytes] = []

        class Wire:
            def is_closing(self) -> bool:
                return False

            def sendto(self, data: bytes, _: object) -> None:
                sent.append(data)

        query = dns.message.make_query(f"own.{DOMAIN}", "A").to_wire()
        server.take_udp(Wire(), query, (source, 1234))  # type: ignore[arg-type]
        await asyncio.gather(*server._running)
        assert bool(sent) == is_answered


async def test_other_nodes_learn_nothing_over_tcp_either() -> None:
    async with answering(DnsConfig(domains=(DOMAIN,), proxied=True)) as server:
        reader = asyncio.StreamReader()
        reader.feed_data(b"\x00\x0cwhatever else")
        reader.feed_eof()
        closed: list[bool] = []

        class Wire:
            def get_extra_info(self, _: str) -> tuple[str, int]:
                return "100.64.0.2", 1234

            def write(self, _: bytes) -> None:
                raise AssertionError("nothing is to be said")

            def close(self) -> None:
                closed.append(True)

        await server._serve_tcp(reader, Wire())  # type: ignore[arg-type]
        assert closed == [True]
        assert not reader.at_eof()
