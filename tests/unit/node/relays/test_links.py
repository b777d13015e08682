"""Relay connections against a real relay on loopback."""

from __future__ import annotations

import asyncio
import os
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from control.keys import NodePrivate
from control.wire import DerpMap, DerpNode, DerpRegion
from node.proxy.settings import DIRECT, ProxySettings
from node.relays import links
from node.relays.links import RelayLinks
from relay.admission import AdmitEveryone
from relay.app import Relay, RelayConfig
from relay.server.tls import self_signed, server_context
from tests.support.connect_proxy import ConnectProxy, running_proxy

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from node.relays.links import Received

REGION = 1
CERTIFICATE = self_signed("127.0.0.1", datetime.now(UTC))


@asynccontextmanager
async def relay(*, is_pinned: bool = True) -> AsyncIterator[DerpMap]:
    certificate, key, digest = CERTIFICATE
    private = NodePrivate.generate(os.urandom)
    config = RelayConfig(
        private,
        listen=("127.0.0.1", 0),
        tls=server_context(certificate, key, private.public.raw),
    )
    async with Relay(config, AdmitEveryone()) as running:
        node = DerpNode(
            name="1a",
            host_name="127.0.0.1",
            ipv4="127.0.0.1",
            derp_port=running.ports[0],
            cert_name=f"sha256-raw:{digest}" if is_pinned else "",
        )
        yield DerpMap(regions={REGION: DerpRegion(region_id=REGION, nodes=(node,))})


class End:
    """One node's links, and what they brought."""

    def __init__(self, proxies: ProxySettings = DIRECT) -> None:
        self.private = NodePrivate.generate(os.urandom)
        self.key = self.private.public.raw
        self.heard: asyncio.Queue[Received] = asyncio.Queue()
        self.troubles: dict[int, str] = {}
        self.told: list[str] = []
        self.links = RelayLinks(self.private, self._take, self._note, proxies=proxies)

    def _take(self, received: list[Received]) -> None:
        for item in received:
            self.heard.put_nowait(item)

    def _note(self, region: int, text: str) -> None:
        self.troubles[region] = text
        self.told.append(text)

    async def next(self) -> Received:
        async with asyncio.timeout(10):
            return await self.heard.get()


@asynccontextmanager
async def two_ends(
    derp_map: DerpMap, proxies: ProxySettings = DIRECT
) -> AsyncIterator[tuple[End, End]]:
    a, b = End(proxies), End(proxies)
    try:
        for one, other in ((a, b), (b, a)):
            one.links.configure(derp_map, {other.key: REGION})
            one.links.set_home(REGION)
        yield a, b
    finally:
        await a.links.close()
        await b.links.close()


async def until(condition: Callable[[], object]) -> None:
    # Nothing tells when a link is up: only the links themselves know.
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110  see above
            await asyncio.sleep(0.01)


async def both_connected(a: End, b: End) -> None:
    await until(lambda: a.links.connected and b.links.connected)


async def test_datagrams_arrive_with_their_sender() -> None:
    async with relay() as derp_map, two_ends(derp_map) as (a, b):
        await both_connected(a, b)
        a.links.send([(b.key, 0, b"one", 3), (b.key, 0, b"two4", 3)])
        assert await b.next() == (a.key, REGION, b"one")
        assert await b.next() == (a.key, REGION, b"two")
        assert await b.next() == (a.key, REGION, b"4")


async def test_peer_without_a_home_yet_gets_what_waited() -> None:
    async with relay() as derp_map, two_ends(derp_map) as (a, b):
        await both_connected(a, b)
        a.links.configure(derp_map, {b.key: 0})
        a.links.send([(b.key, 0, b"early", 5)])
        a.links.configure(derp_map, {b.key: REGION})
        assert await b.next() == (a.key, REGION, b"early")


async def test_relay_is_verified_with_the_authority_that_the_user_trusts() -> None:
    async with relay(is_pinned=False) as derp_map, two_ends(derp_map) as (a, b):
        await until(lambda: "CERTIFICATE_VERIFY_FAILED" in a.troubles.get(REGION, ""))
        for one, other in ((a, b), (b, a)):
            one.links.configure(derp_map, {other.key: REGION}, CERTIFICATE[0].decode())
        await both_connected(a, b)
        a.links.send([(b.key, 0, b"one", 3)])
        assert await b.next() == (a.key, REGION, b"one")


async def test_stranger_gets_nothing() -> None:
    async with relay() as derp_map, two_ends(derp_map) as (a, _):
        a.links.send([(bytes(32), 0, b"x", 1)])
        assert a.links.dropped == 1


async def test_what_waited_long_for_a_relay_is_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    async with relay() as derp_map, two_ends(derp_map) as (a, b):
        await until(lambda: b.links.connected)
        a.links.configure(None, {b.key: REGION})
        a.links.reconnect()
        await until(lambda: a.troubles.get(REGION))
        a.links.send([(b.key, 0, b"old", 3)])
        monkeypatch.setattr(links, "_WAITING_S", 0.0)
        a.links.configure(derp_map, {b.key: REGION})
        a.links.reconnect()
        await until(lambda: a.links.connected)
        assert a.links.dropped == 1
        a.links.send([(b.key, 0, b"new", 3)])
        assert await b.next() == (a.key, REGION, b"new")


async def test_datagrams_of_strangers_go_no_further_and_leave_nothing_behind() -> None:
    async with relay() as derp_map, two_ends(derp_map) as (a, b):
        await both_connected(a, b)
        b.links.configure(derp_map, {})
        a.links.send([(b.key, 0, b"who is it", 9)])
        await until(lambda: b.links.strange == 1)
        b.links.configure(derp_map, {a.key: REGION})
        a.links.send([(b.key, 0, b"a peer", 6)])
        assert await b.next() == (a.key, REGION, b"a peer")
        b.links.configure(derp_map, {})
        assert b.links._choice._heard_in == {}


async def test_lost_connection_comes_back() -> None:
    async with relay() as derp_map, two_ends(derp_map) as (a, b):
        await both_connected(a, b)
        a.links.reconnect()
        await until(lambda: not a.links.connected)
        await both_connected(a, b)
        b.links.send([(a.key, 0, b"again", 5)])
        assert await a.next() == (b.key, REGION, b"again")


async def test_changed_network_ends_a_dial_that_gets_no_answer() -> None:
    asked: asyncio.Queue[None] = asyncio.Queue()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.put_nowait(None)
        await reader.read()
        writer.close()

    async with relay() as derp_map:
        region = (derp_map.regions or {})[REGION]
        assert region is not None
        [node] = region.nodes or ()
        server = await asyncio.start_server(silent, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        mute = replace(region, nodes=(replace(node, derp_port=port),))
        end = End()
        end.links.configure(DerpMap(regions={REGION: mute}), {})
        async with server:
            try:
                end.links.set_home(REGION)
                await asked.get()
                end.links.configure(derp_map, {})
                end.links.reconnect()
                began = asyncio.get_running_loop().time()
                await until(lambda: end.links.connected)
                # Not after the five seconds that the first dial would have taken.
                assert asyncio.get_running_loop().time() - began < 4
            finally:
                await end.links.close()


async def test_relay_that_accepts_and_then_falls_silent_is_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with relay() as derp_map, two_ends(derp_map) as (a, b):
        await both_connected(a, b)
        [client] = a.links._clients.values()
        # As if the network in between swallowed everything: no reset, no end.
        monkeypatch.setattr(client, "data_received", lambda _: None)
        began = asyncio.get_running_loop().time()
        # The next connection may stand before we look: what counts is what was said.
        while not any("fell silent" in text for text in a.told):
            a.links.send([(b.key, 0, b"into the void", 13)])
            await asyncio.sleep(0.05)
            assert asyncio.get_running_loop().time() - began < 10
        await until(lambda: not a.troubles[REGION])
        assert a.links.failed_at() == {}


async def test_end_of_a_connection_is_no_sign_of_life() -> None:
    async with relay() as derp_map, two_ends(derp_map) as (a, _):
        await until(lambda: a.links.connected)
        [client] = a.links._clients.values()
        heard = a.links.heard_at()
        client.connection_lost(ConnectionResetError("gone"))
        assert a.links.heard_at() == heard


async def test_relay_that_does_not_answer_is_a_trouble_with_a_name() -> None:
    node = DerpNode(name="1a", host_name="127.0.0.1", ipv4="127.0.0.1", derp_port=1)
    derp_map = DerpMap(regions={REGION: DerpRegion(region_id=REGION, nodes=(node,))})
    end = End()
    end.links.configure(derp_map, {})
    try:
        end.links.set_home(REGION)
        await until(lambda: end.troubles.get(REGION))
        assert "127.0.0.1:1" in end.troubles[REGION]
    finally:
        await end.links.close()


def behind_a_name(derp_map: DerpMap) -> tuple[DerpMap, tuple[str, int]]:
    """Return the map with a relay that only a proxy finds, and where that relay really is."""
    region = (derp_map.regions or {})[REGION]
    assert region is not None
    [node] = region.nodes or ()
    hidden = replace(node, host_name="relay.example", ipv4="192.0.2.1")
    return DerpMap(regions={REGION: replace(region, nodes=(hidden,))}), (
        node.host_name,
        node.derp_port,
    )


async def test_mandatory_proxy_leads_to_the_relay_by_its_name() -> None:
    async with relay() as derp_map:
        hidden, place = behind_a_name(derp_map)
        target = f"relay.example:{place[1]}"
        async with running_proxy(ConnectProxy({target: place}, "ann:secret")) as proxy:
            environment = {"HTTPS_PROXY": proxy.url("ann:secret")}
            settings = ProxySettings.from_environment(environment)
            async with two_ends(hidden, settings) as (a, b):
                await both_connected(a, b)
                a.links.send([(b.key, 0, b"inside", 6)])
                assert await b.next() == (a.key, REGION, b"inside")
        assert proxy.targets == [target, target]
        assert proxy.carried_bytes > 0


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("http://ann:secret@127.0.0.1:{port}", "does not take the user and password"),
        ("socks5://ann:secret@127.0.0.1:{port}", "HTTPS_PROXY names no HTTP proxy"),
    ],
)
async def test_proxy_that_does_not_help_is_a_trouble_that_says_so(value: str, words: str) -> None:
    async with relay() as derp_map, running_proxy(ConnectProxy(credentials="x:y")) as proxy:
        hidden, _ = behind_a_name(derp_map)
        settings = ProxySettings.from_environment({"HTTPS_PROXY": value.format(port=proxy.port)})
        async with two_ends(hidden, settings) as (a, _):
            await until(lambda: a.troubles.get(REGION))
            assert words in a.troubles[REGION]
            assert "secret" not in a.troubles[REGION]
