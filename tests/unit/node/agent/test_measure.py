"""Measuring relays on loopback."""

from __future__ import annotations

from datetime import UTC, datetime

from control.wire import DerpMap, DerpNode, DerpRegion
from node.agent.measure import Measurer
from node.proxy.settings import ProxySettings
from relay.admission import AdmitEveryone
from relay.app import Relay
from relay.server.tls import self_signed, server_context
from tests.support.connect_proxy import HOST, ConnectProxy, running_proxy
from tests.support.live_relay import config


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
