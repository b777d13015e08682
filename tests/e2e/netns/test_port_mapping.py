"""Ports that a real router maps: by which protocol, what becomes direct, what a restart costs."""

from __future__ import annotations

import asyncio
import sys
import time
from ipaddress import IPv4Address
from typing import TYPE_CHECKING

import pytest

from node.demo.network import wait_until
from node.paths.news import PathKind
from tests.e2e.netns.natlab_pairs import both, services, talk_until, talking
from tests.support import natlab, upnp_router
from tests.support.natlab import NatLab

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.disco_host import DiscoHost

pytestmark = [
    pytest.mark.netns,
    pytest.mark.skipif(not natlab.is_possible(), reason="needs root, ip and nft"),
    pytest.mark.skipif(
        not upnp_router.is_possible(), reason="SKIPPED LOUDLY: needs miniupnpd-nftables"
    ),
]
ROUTER = IPv4Address("192.168.1.1")
PATIENCE_S = 20.0
GIVEN_BACK_S = 10.0


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


async def map_port(lab: NatLab, host: DiscoHost) -> str:
    await host.map_port(ROUTER, lambda kind: lab.inet_socket("lanA", kind))
    assert host.mapping is not None
    return str(host.mapping.external)


@pytest.mark.parametrize("protocol", ["PCP", "NAT-PMP", "UPnP"])
@pytest.mark.parametrize("other", ["port-restricted", "symmetric"])
async def test_hard_nat_that_maps_a_port_is_reached_directly(
    tmp_path: Path, protocol: str, other: str
) -> None:
    with NatLab() as lab:
        lab.set_class("A", "symmetric")
        lab.set_class("B", other)
        with upnp_router.upnp_router(lab, "A", tmp_path, datagrams=protocol != "UPnP") as router:
            if protocol == "NAT-PMP":
                router.refuse_pcp()
            async with services(lab), talking(lab) as (a, b):
                began = time.monotonic()
                mapped = await map_port(lab, a)
                took_s = time.monotonic() - began
                assert mapped.startswith(f"{router.public}:")
                assert f"dport {mapped.rpartition(':')[2]} dnat" in router.mappings()
                seconds = await talk_until(a, b, both(a, b, PathKind.DIRECT), PATIENCE_S)
                say(f"{protocol}: mapped after {took_s:.2f} s, direct {seconds:.1f} s later")
                best = b.book.path(a.key)
                assert best is not None
                assert best.best is not None
                assert str(best.best.endpoint) == mapped
            # Nobody waits for a router's word when leaving.
            wait_until(lambda: "dnat" not in router.mappings(), "it is given back", GIVEN_BACK_S)


async def test_restarted_router_maps_again_by_its_own_announcement(tmp_path: Path) -> None:
    with NatLab() as lab:
        lab.set_class("A", "symmetric")
        lab.set_class("B", "port-restricted")
        with upnp_router.upnp_router(lab, "A", tmp_path) as router:
            async with services(lab), talking(lab) as (a, _):
                await map_port(lab, a)
                # Its count of seconds must have grown, or a new start looks like no time at all.
                await asyncio.sleep(3)
                router.stop()
                router.start()
                assert "dnat" not in router.mappings()
                began = time.monotonic()
                while "dnat" not in router.mappings():
                    took_s = time.monotonic() - began
                    assert took_s < PATIENCE_S
                    await asyncio.sleep(0.1)
                say(f"mapped again {time.monotonic() - began:.1f} s after the restart")
