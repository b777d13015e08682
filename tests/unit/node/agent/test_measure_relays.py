"""Measuring relays: their names are looked up beside the questions, the rest on loopback."""

from __future__ import annotations

import asyncio
import socket
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from control.wire import DerpMap, DerpNode, DerpRegion
from node.agent.measure import Measurer
from node.proxy.settings import ProxySettings
from node.transport.endpoint import Endpoint
from relay.admission import AdmitEveryone
from relay.app import Relay
from relay.server.tls import self_signed, server_context
from relay.stun import Binding, encode_response, parse_request
from tests.support.connect_proxy import HOST, ConnectProxy, running_proxy
from tests.support.live_relay import config

if TYPE_CHECKING:
    import pytest


def region(number: int) -> DerpRegion:
    node = DerpNode(name=f"{number}a", region_id=number, host_name=f"relay{number}.example")
    return DerpRegion(region_id=number, nodes=(node,))


DERP_MAP = DerpMap(regions={1: region(1), 2: region(2)})


async def test_name_server_that_does_not_answer_holds_nothing_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loop = asyncio.get_running_loop()

    async def getaddrinfo(host: str, port: int, **options: Any) -> list[Any]:
        if host == "relay1.example":
            await asyncio.Event().wait()
        assert options["family"] is socket.AF_INET
        return [(socket.AF_INET, socket.SOCK_DGRAM, 17, "", ("192.0.2.2", port))]

    def send(datagram: bytes, to: Endpoint) -> None:
        assert str(to) == "192.0.2.2:3478"
        seen = Endpoint.parse("203.0.113.5:41641")
        reply = encode_response(Binding(parse_request(datagram), seen.ip, seen.port))
        loop.call_soon(lambda: measurer.stun(reply, loop.time()))

    monkeypatch.setattr(loop, "getaddrinfo", getaddrinfo)
    measurer = Measurer(send, has_ipv6=False)
    try:
        # A netcheck has five seconds; a name server that is silent takes ten and more.
        async with asyncio.timeout(8):
            report = await measurer.measure(DERP_MAP, 0, is_full=True)
    finally:
        await measurer.close()
    assert set(report.latency_ns) == {2}
    assert str(report.global4) == "203.0.113.5:41641"


async def test_region_whose_name_cannot_be_one_does_not_end_the_measuring() -> None:
    names = ["a" * 64 + ".example", "a..example"]
    regions = {
        number: DerpRegion(region_id=number, nodes=(DerpNode(name=str(number), host_name=name),))
        for number, name in enumerate(names, 1)
    }
    measurer = Measurer(lambda _data, _to: None, has_ipv6=False)
    report = await measurer.measure(DerpMap(regions=regions), 0, is_full=True)
    assert report.latency_ns == {}
    await measurer.close()


async def test_without_udp_a_relay_behind_the_proxy_is_measured_through_it() -> None:
    certificate, key, digest = self_signed(HOST, datetime.now(UTC))
    settings = config(tls=server_context(certificate, key, None))
    async with Relay(settings, AdmitEveryone()) as relay:
        node = DerpNode(
            name="1a",
            host_name="relay.example",
            ipv4="192.0.2.1",
            cert_name=f"sha256-raw:{digest}",
        )
        derp_map = DerpMap(regions={1: DerpRegion(region_id=1, nodes=(node,))})
        places = {"relay.example:443": (HOST, relay.ports[0])}
        async with running_proxy(ConnectProxy(places)) as proxy:
            measurer = Measurer(
                lambda _data, _to: None,
                has_ipv6=False,
                proxies=ProxySettings.from_environment({"HTTPS_PROXY": proxy.url()}),
            )
            report = await measurer.measure(derp_map, 0, is_full=True)
            assert report.latency_ns.keys() == {1}
            await measurer.close()
