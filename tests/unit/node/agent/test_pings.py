"""What becomes of a ping whose first question is lost."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest

from node.agent import loop_calls, pings
from node.agent.pings import Pings
from node.paths.news import PingAnswered
from node.state.preferences import PreferencesError
from node.transport.endpoint import Endpoint
from tests.support.netmaps import netmap, wire_node

if TYPE_CHECKING:
    from node.agent.tunnel import Tunnel

TUNNEL = cast("Tunnel", object())
PEER = wire_node(2, "web")
ANSWER = PingAnswered(Endpoint.parse("192.0.2.7:41641"), 2_000_000)


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pings, "_AGAIN_S", 0.01)


async def test_peer_is_asked_again_until_it_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    made, asked = Pings(), 0

    async def ping(_: Tunnel, node_key: bytes) -> bool:
        nonlocal asked
        asked += 1
        if asked == 3:
            made.note(node_key, ANSWER)
        return True

    monkeypatch.setattr(loop_calls, "ping", ping)
    found = await made.ping(TUNNEL, netmap(PEER), "web", 10)
    assert (found["endpoint"], found["latency_ms"], asked) == ("192.0.2.7:41641", 2.0, 3)


async def test_peer_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    async def ping(_: Tunnel, _key: bytes) -> bool:
        return True

    monkeypatch.setattr(loop_calls, "ping", ping)
    found = await Pings().ping(TUNNEL, netmap(PEER), "web", 0.05)
    assert found["error"] == "timed out"


async def test_who_is_no_peer_of_the_packet_path_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    async def ping(_: Tunnel, _key: bytes) -> bool:
        return False

    monkeypatch.setattr(loop_calls, "ping", ping)
    with pytest.raises(PreferencesError, match="web"):
        await Pings().ping(TUNNEL, netmap(PEER), "web", 10)
