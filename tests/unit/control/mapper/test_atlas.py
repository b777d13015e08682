"""The atlas: who is woken by what, and what is compiled at all."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from control.mapper.atlas import Atlas
from control.policies.checking import check_policy
from control.registry.ledger import Change
from control.registry.tailnet import Tailnet
from control.wire import DerpMap, DnsConfig, parse_addr_port
from tests.support.records import NOW, node_record

if TYPE_CHECKING:
    from control.mapper.session import MapSession
    from policy.model.document import Policy

TAGS = ("tag:a", "tag:b", "tag:c", "tag:d")


def policy(port: int) -> Policy:
    """Return a policy: a reaches b on a port, c reaches d."""
    text = json.dumps(
        {
            "tagOwners": {tag: [] for tag in TAGS},
            "acls": [
                {"action": "accept", "src": ["tag:a"], "dst": [f"tag:b:{port}"]},
                {"action": "accept", "src": ["tag:c"], "dst": ["tag:d:80"]},
            ],
        }
    )
    loaded = check_policy(text, None).policy
    assert loaded is not None
    return loaded


def tailnet() -> Tailnet:
    return Tailnet(
        [], [node_record(n, user_id=None, tags=(tag,)) for n, tag in enumerate(TAGS, start=1)]
    )


def atlas_of(members: Tailnet) -> tuple[Atlas, dict[int, MapSession]]:
    """Return an atlas whose nodes all have their first map."""
    atlas = Atlas(
        members,
        policy(80),
        domain="tail.example",
        derp_map=DerpMap(regions={}, omit_default_regions=True),
        dns_config=DnsConfig(proxied=True),
        clock=lambda: NOW,
    )
    sessions = {node.id: atlas.open(node.id) for node in members.nodes}
    for session in sessions.values():
        assert session.next_message(NOW) is not None
    return atlas, sessions


def woken(sessions: dict[int, MapSession]) -> dict[int, Any]:
    """Return what the nodes that were woken are told."""
    told = {}
    for number, session in sessions.items():
        if session.wake.is_set():
            message = session.next_message(NOW)
            told[number] = None if message is None else json.loads(message)
    return told


async def test_a_rule_that_changes_wakes_only_those_who_enforce_it() -> None:
    atlas, sessions = atlas_of(tailnet())
    atlas.set_policy(policy(81))
    await atlas.refresh()
    told = woken(sessions)
    assert list(told) == [2]
    assert list(told[2]) == ["PacketFilters"]
    [rule] = told[2]["PacketFilters"]["base"]
    assert {entry["Ports"]["First"] for entry in rule["DstPorts"]} == {81}


async def test_a_caller_that_goes_away_leaves_the_change_for_the_next() -> None:
    atlas, sessions = atlas_of(tailnet())
    atlas.set_policy(policy(81))
    leaving = asyncio.create_task(atlas.refresh())
    await asyncio.sleep(0)  # it waits for the compiler now
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    await atlas.refresh()
    assert list(woken(sessions)) == [2]


async def test_the_same_policy_again_wakes_nobody() -> None:
    atlas, sessions = atlas_of(tailnet())
    atlas.set_policy(policy(80))
    await atlas.refresh()
    assert woken(sessions) == {}


async def test_a_change_is_told_though_who_asked_for_it_is_cancelled() -> None:
    atlas, sessions = atlas_of(tailnet())
    atlas.set_policy(policy(81))
    asking = asyncio.create_task(atlas.refresh())
    # It has begun, and what it waits for cannot have come yet.
    await asyncio.sleep(0)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    running = asyncio.create_task(atlas.run())
    async with asyncio.timeout(60):
        await sessions[2].wake.wait()
    running.cancel()
    assert list(woken(sessions)) == [2]


async def test_a_joining_node_wakes_only_those_who_see_it() -> None:
    members = tailnet()
    atlas, sessions = atlas_of(members)
    members.put_node(node_record(9, user_id=None, tags=("tag:a",)))
    atlas.on_change(Change(nodes=frozenset({9})))
    await atlas.refresh()
    told = woken(sessions)
    assert list(told) == [2]
    assert [peer["ID"] for peer in told[2]["PeersChanged"]] == [9]


async def test_a_node_that_leaves_wakes_only_those_who_saw_it() -> None:
    members = tailnet()
    atlas, sessions = atlas_of(members)
    members.drop_node(1)
    atlas.on_change(Change(nodes=frozenset({1})))
    await atlas.refresh()
    assert sessions.pop(1).is_over
    told = woken(sessions)
    assert list(told) == [2]
    assert told[2]["PeersRemoved"] == [1]


async def test_a_node_that_loses_its_approval_sees_nobody_any_more() -> None:
    members = tailnet()
    atlas, sessions = atlas_of(members)
    node = members.node(1)
    assert node is not None
    members.put_node(replace(node, is_authorized=False))
    atlas.on_change(Change(nodes=frozenset({1})))
    await atlas.refresh()
    told = woken(sessions)
    assert list(told) == [1, 2]
    assert told[1]["PeersRemoved"] == [2]
    assert told[2]["PeersRemoved"] == [1]


async def test_a_node_that_left_stands_in_no_filter_any_more() -> None:
    members = tailnet()
    atlas, sessions = atlas_of(members)
    members.drop_node(1)
    atlas.on_change(Change(nodes=frozenset({1})))
    await atlas.refresh()
    assert sessions[1].is_over
    assert woken({2: sessions[2]})[2]["PacketFilters"] == {"base": []}


async def test_a_node_without_approval_hears_that_its_capabilities_are_gone() -> None:
    members = tailnet()
    atlas, sessions = atlas_of(members)
    node = members.node(1)
    assert node is not None
    members.put_node(replace(node, is_authorized=False))
    atlas.on_change(Change(nodes=frozenset({1})))
    # It hears before the network without it is compiled, and once more after that.
    assert woken({1: sessions[1]})[1]["Node"]["CapMap"]
    await atlas.refresh()
    assert "CapMap" not in woken({1: sessions[1]})[1]["Node"]


async def test_reports_compile_nothing_and_reach_those_who_see_the_node() -> None:
    members = tailnet()
    atlas, sessions = atlas_of(members)
    network = atlas.network
    node = members.node(1)
    assert node is not None
    members.put_node(replace(node, endpoints=(parse_addr_port("192.0.2.1:41641"),)))
    members.set_online(1, is_online=True)
    atlas.on_change(Change(nodes=frozenset({1})))
    told = woken(sessions)
    assert [patch["NodeID"] for patch in told.pop(2)["PeersChangedPatch"]] == [1]
    # Its own record is looked at; whatever it is told, it is not told of others.
    assert set(told.pop(1) or ()) <= {"Node"}
    assert told == {}
    assert atlas.network is network
