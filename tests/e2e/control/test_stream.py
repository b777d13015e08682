"""Map streams: policy pushes, reports, deltas to those concerned and nobody else."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest

from control.http import machine
from control.policies.in_force import PolicyRefusedError
from control.registry.ledger import Change
from control.wire import REACH_PATH, ReachRequest, ReachResponse
from node.netmap.fold import packet_filter
from node.session import driver
from node.session.driver import ControlRefusedError
from tests.support.control_server import TestNode

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from control.wire import Reach
    from tests.support.control_server import Control, Stream

TAGGED = """{
  "tagOwners": {"tag:a": [], "tag:b": [], "tag:c": []},
  "acls": [{"action": "accept", "src": ["tag:a"], "dst": ["tag:b:80"]}],
}"""


@pytest.fixture
async def two(control: Control) -> AsyncIterator[tuple[Control, Stream, Stream]]:
    await control.server.keeper.set(TAGGED, "test")
    nodes = {tag: TestNode(tag) for tag in "ab"}
    keys = {tag: await control.add_auth_key(tags=(f"tag:{tag}",)) for tag in "ab"}
    async with nodes["a"].connected(control) as one, nodes["b"].connected(control) as other:
        await nodes["a"].join(one, keys["a"])
        await nodes["b"].join(other, keys["b"])
        a, b = nodes["a"].stream(one), nodes["b"].stream(other)
        for stream in (a, b):
            await stream.next()
        for stream in (a, b):
            await stream.until(lambda n: n.peers and all(peer.online for peer in n.peers.values()))
        await b.until(lambda n: n.filters["base"])
        yield control, a, b


async def test_filter_says_what_the_policy_says(
    two: tuple[Control, Stream, Stream],
) -> None:
    _, a, b = two
    assert packet_filter(a.held) == ()
    (rule,) = packet_filter(b.held)
    assert rule.src_ips == ("100.64.0.1", "fd7a:115c:a1e0::1")
    assert {(ip, ports.first) for ip, ports in rule.dst_ports} == {
        ("100.64.0.2", 80),
        ("fd7a:115c:a1e0::2", 80),
    }


async def test_stream_is_kept_alive_though_it_wakes_for_nothing(
    control: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "KEEP_ALIVE_S", 1.0)
    monkeypatch.setattr(machine, "KEEP_ALIVE_SPREAD_S", 0.0)
    # Show keepalives, which the client leaves out.
    monkeypatch.setattr(driver, "KEEP_ALIVE_JSON", b"")
    node = TestNode()
    key = await control.add_auth_key(tags=("tag:x",))
    async with node.connected(control) as client:
        await node.join(client, key)
        stream = node.stream(client)
        await stream.next()
        [known] = control.server.ledger.tailnet.nodes

        async def wake() -> None:
            while True:
                control.server.ledger.announce(Change(nodes=frozenset({known.id})))
                await asyncio.sleep(0.1)

        waking = asyncio.create_task(wake())
        try:
            async with asyncio.timeout(20):
                while not (await anext(stream.messages)).keep_alive:
                    pass
        finally:
            waking.cancel()


async def test_node_is_told_what_it_may_reach_when_it_asks(
    two: tuple[Control, Stream, Stream],
) -> None:
    control, _, b = two
    [told] = await asked(control, "a")
    assert told.node_ids == (b.held.self_node.id,)
    assert told.rule.src_ips == ("100.64.0.3", "fd7a:115c:a1e0::3")
    assert [(ip, ports.first) for ip, ports in told.rule.dst_ports] == [("own4", 80), ("own6", 80)]
    assert [(o.section, o.line) for o in told.rule.origins] == [("acls", 3)]
    assert await asked(control, "b") == ()


async def asked(control: Control, tag: str) -> tuple[Reach, ...]:
    """Join another node with a tag, and ask for it."""
    node = TestNode(f"asking-{tag}")
    async with node.connected(control) as client:
        await node.join(client, await control.add_auth_key(tags=(f"tag:{tag}",)))
        await control.server.atlas.refresh()
        request = ReachRequest(version=113, node_key=node.key.public)
        body = await client.fetch(REACH_PATH, request.to_json())
    return ReachResponse.from_json(json.loads(body)).reach


async def test_nobody_may_ask_for_another_node(two: tuple[Control, Stream, Stream]) -> None:
    control, a, _ = two
    stranger = TestNode("stranger")
    async with stranger.connected(control) as client:
        request = ReachRequest(version=113, node_key=a.held.self_node.key)
        with pytest.raises(ControlRefusedError) as refused:
            await client.fetch(REACH_PATH, request.to_json())
    assert refused.value.status == 404


async def test_policy_change_reaches_whom_it_concerns(
    two: tuple[Control, Stream, Stream],
) -> None:
    control, a, b = two
    heard_by_a = len(a.heard)
    await control.server.keeper.set(TAGGED.replace("80", "443"), "test")
    netmap = await b.until(lambda n: n.filters["base"][0].dst_ports[0].ports.first == 443)
    assert [key for key, value in b.heard[-1].to_json().items() if value is not None] == [
        "PacketFilters"
    ]
    assert len(netmap.peers) == 1
    # What `a` hears next is the next thing that concerns it: no message of the change came before.
    await control.server.keeper.set('{"acls": []}', "test")
    await a.until(lambda n: not n.peers)
    assert len(a.heard) == heard_by_a + 1
    await b.until(lambda n: not n.peers and n.filters == {"base": ()})


async def test_refused_policy_leaves_the_old_one(two: tuple[Control, Stream, Stream]) -> None:
    control, _, b = two
    failing = TAGGED.replace(
        '"acls"', '"tests": [{"src": "tag:a", "accept": ["tag:b:22"]}], "acls"'
    )
    for text in ("{", '{"acls": [{"action": "drop"}]}', failing):
        with pytest.raises(PolicyRefusedError):
            await control.server.keeper.set(text, "test")
    assert control.server.keeper.in_force.text == TAGGED
    assert packet_filter(b.held)


async def test_lite_update_is_forwarded(control: Control) -> None:
    key = await control.add_auth_key(await control.add_user())
    first, second = TestNode("alpha"), TestNode("beta")
    async with first.connected(control) as one, second.connected(control) as other:
        await first.join(one, key)
        await second.join(other, key)
        stream = first.stream(one)
        await stream.until(lambda n: n.peers)
        await other.report(
            second.request(
                stream=False,
                omit_peers=True,
                endpoints=("198.51.100.7:1234", "junk", "0.0.0.0:1"),
            )
        )
        netmap = await stream.until(lambda n: next(iter(n.peers.values())).endpoints)
        (peer,) = netmap.peers.values()
        assert [str(endpoint) for endpoint in peer.endpoints or ()] == ["198.51.100.7:1234"]
        assert stream.heard[-1].peers_changed_patch
        assert stream.heard[-1].peers_changed is None
        assert not peer.online


async def test_newer_stream_replaces_the_older(control: Control) -> None:
    key = await control.add_auth_key(await control.add_user())
    node = TestNode()
    async with node.connected(control) as one, node.connected(control) as two:
        await node.join(one, key)
        old = node.stream(one)
        await old.next()
        new = node.stream(two)
        await new.next()
        with pytest.raises(StopAsyncIteration):
            await old.until(lambda _: False)
        loop = asyncio.get_running_loop()
        await control.server.upkeep.tick(loop.time() + 3600)
        record = control.server.ledger.tailnet.node_by_key(node.key.public)
        assert record is not None
        assert control.server.ledger.tailnet.is_online(record.id)


async def test_one_shot_request_gets_one_full_map(control: Control) -> None:
    key = await control.add_auth_key(await control.add_user())
    node = TestNode()
    async with node.connected(control) as client:
        await node.join(client, key)
        for compress in ("zstd", ""):
            stream = node.stream(client, stream=False, compress=compress)
            await stream.next()
            assert stream.held.self_node.key == node.key.public
            with pytest.raises(StopAsyncIteration):
                await stream.next()


async def test_peer_goes_offline_after_the_grace(control: Control) -> None:
    key = await control.add_auth_key(await control.add_user())
    first, second = TestNode("alpha"), TestNode("beta")
    async with first.connected(control) as one:
        await first.join(one, key)
        async with second.connected(control) as two:
            await second.join(two, key)
            await second.stream(two).next()
            stream = first.stream(one)
            await stream.until(lambda n: n.peers and next(iter(n.peers.values())).online)
        upkeep, loop = control.server.upkeep, asyncio.get_running_loop()
        async with asyncio.timeout(60):
            while control.server.ts2021.connection_count > 1:  # noqa: ASYNC110  no event to wait on
                await asyncio.sleep(0)
        await upkeep.tick(loop.time() + 11)
        netmap = await stream.until(lambda n: next(iter(n.peers.values())).online is False)
    (peer,) = netmap.peers.values()
    assert peer.last_seen is not None


async def test_unknown_endpoints_answer_as_the_protocol_says(control: Control) -> None:
    node = TestNode()
    async with node.connected(control) as client:
        for path, status in (
            ("/machine/nothing", 404),
            ("/machine/set-dns", 501),
            ("/machine/tka/init/begin", 501),
        ):
            with pytest.raises(ControlRefusedError) as caught:
                await client.fetch(path, {})
            assert caught.value.status == status
