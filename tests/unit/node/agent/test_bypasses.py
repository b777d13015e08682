"""What passes by an exit node, also when names cannot be looked up."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import replace
from ipaddress import ip_network
from typing import Any

import pytest

from control.wire import DerpMap, DerpNode, DerpRegion
from node.agent import bypasses
from node.agent.bypasses import Bypasses
from node.state.preferences import Preferences

WANTED = Preferences(login_server="https://control.example", exit_node="gateway")
RELAYS = DerpMap(
    regions={
        1: DerpRegion(
            region_id=1,
            nodes=(
                DerpNode(name="1a", host_name="relay.example", ipv6="2001:db8::7"),
                DerpNode(name="1b", host_name="other.example", ipv4="192.0.2.8", ipv6="none"),
            ),
        )
    }
)
AROUND = (ip_network("10.1.0.0/16"),)


class Names:
    """A resolver: an address, an error, or None for no answer at all."""

    def __init__(self) -> None:
        self.held: dict[str, str | Exception | None] = {
            "control.example": "192.0.2.1",
            "relay.example": "192.0.2.7",
            "2001:db8::7": "2001:db8::7",
            "192.0.2.8": "192.0.2.8",
        }
        self.asked: list[str] = []

    async def getaddrinfo(self, host: str, *_: Any, **__: Any) -> list[Any]:
        self.asked.append(host)
        answer = self.held[host]
        if answer is None:
            await asyncio.Event().wait()
        if isinstance(answer, Exception):
            raise answer
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (answer, 0))]


@pytest.fixture
async def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    made = Names()
    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", made.getaddrinfo)
    monkeypatch.setattr(bypasses, "_LOOK_UP_S", 0.05)
    return made


def texts(networks: tuple[Any, ...]) -> set[str]:
    return {str(network) for network in networks}


EVERYTHING = {"192.0.2.1/32", "192.0.2.7/32", "2001:db8::7/128", "192.0.2.8/32"}


async def test_control_server_and_relays_pass_by(names: Names) -> None:
    held = Bypasses()
    assert texts(await held.of(WANTED, RELAYS, AROUND)) == EVERYTHING
    asked = len(names.asked)
    await held.of(WANTED, RELAYS, AROUND)
    assert len(names.asked) == asked
    lan = replace(WANTED, exit_node_allow_lan_access=True)
    assert texts(await held.of(lan, RELAYS, AROUND)) == EVERYTHING | {"10.1.0.0/16"}


async def test_proxy_that_leads_there_passes_by_too(names: Names) -> None:
    names.held["proxy.example"] = "192.0.2.9"
    assert texts(await Bypasses(["proxy.example"]).of(WANTED, RELAYS)) == {
        *EVERYTHING,
        "192.0.2.9/32",
    }


async def test_nothing_is_looked_up_without_an_exit_node(names: Names) -> None:
    assert await Bypasses().of(replace(WANTED, exit_node=""), RELAYS, AROUND) == ()
    assert names.asked == []


@pytest.mark.parametrize("trouble", [None, OSError("no such name"), UnicodeError("label too long")])
async def test_name_that_cannot_be_looked_up_is_asked_again(
    names: Names, trouble: Exception | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = Bypasses()
    names.held["control.example"] = trouble
    assert texts(await held.of(WANTED, RELAYS)) == EVERYTHING - {"192.0.2.1/32"}
    names.held["control.example"] = "192.0.2.1"
    assert texts(await held.of(WANTED, RELAYS)) == EVERYTHING - {"192.0.2.1/32"}
    monkeypatch.setattr(held, "_again_at", 0.0)
    assert texts(await held.of(WANTED, RELAYS)) == EVERYTHING


async def test_name_that_was_known_keeps_its_address(names: Names) -> None:
    held = Bypasses()
    await held.of(WANTED, RELAYS)
    names.held["control.example"] = OSError("no such name")
    assert texts(await held.of(WANTED, RELAYS, AROUND)) == EVERYTHING
