"""Nodes join over real sockets: auth keys, netmaps, deltas."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from node.session.login import LoginFailed, Registered
from tests.support.control_server import TestNode

if TYPE_CHECKING:
    from tests.support.control_server import Control


async def test_node_joins_with_an_auth_key_and_gets_its_netmap(control: Control) -> None:
    key = await control.add_auth_key(await control.add_user())
    node = TestNode()
    async with node.connected(control) as client:
        outcome = await node.join(client, key)
        assert isinstance(outcome, Registered)
        assert (outcome.login_name, outcome.is_authorized) == ("ann@example.com", True)
        stream = node.stream(client)
        await stream.next()
    held = stream.held
    assert held.self_node.name == "alpha.tail.example."
    assert held.self_node.key == node.key.public
    assert [str(a) for a in held.self_node.addresses or ()] == [
        "100.64.0.1/32",
        "fd7a:115c:a1e0::1/128",
    ]
    assert held.domain == "tail.example"
    assert held.peers == {}


async def test_second_node_appears_to_the_first(control: Control) -> None:
    key = await control.add_auth_key(await control.add_user())
    first, second = TestNode("alpha"), TestNode("beta")
    async with first.connected(control) as one, second.connected(control) as two:
        await first.join(one, key)
        stream = first.stream(one)
        await stream.next()
        await second.join(two, key)
        netmap = await stream.until(lambda n: n.peers)
        assert [peer.name for peer in netmap.peers.values()] == ["beta.tail.example."]
        other = second.stream(two)
        await other.next()
        assert [peer.name for peer in other.held.peers.values()] == ["alpha.tail.example."]
        netmap = await stream.until(lambda n: next(iter(n.peers.values())).online)
        assert next(iter(netmap.peers.values())).disco_key == second.disco.public


async def test_of_parallel_joins_with_a_single_use_key_one_succeeds(control: Control) -> None:
    key = await control.add_auth_key(await control.add_user(), is_reusable=False)

    async def join(node: TestNode) -> Registered | LoginFailed:
        async with node.connected(control) as client:
            return await node.join(client, key)

    outcomes = await asyncio.gather(*(join(TestNode(f"n{i}")) for i in range(50)))
    assert sum(isinstance(outcome, Registered) for outcome in outcomes) == 1
    assert len(control.server.ledger.tailnet) == 1
