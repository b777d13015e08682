"""Every endpoint of the control channel holds the node key to the machine key that asks.

The tests walk the server's own table: an endpoint that is added is asked too.
"""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from control.channel.responses import ChannelRequest, ChannelResponse
from control.keys import NodePrivate
from control.wire import RegisterRequest
from node.session.login import Registered
from tests.support.control_server import TestNode

if TYPE_CHECKING:
    from tests.support.control_server import Control

TELL_A_MACHINE_OF_ITSELF = {
    ("POST", "/machine/register"),
    ("POST", "/machine/map"),
    ("GET", "/machine/whoami"),
}
"""Endpoints that speak for no node, or decide by themselves what its owner may hear."""


class Unused:
    """A response stream that nothing may be written to."""

    def start(self, status: int) -> None:
        raise AssertionError(status)

    def watch(self) -> None:
        raise AssertionError

    async def send(self, data: bytes) -> None:
        raise AssertionError(data)


async def ask(
    control: Control, route: tuple[str, str], asker: TestNode, key: Any, **more: Any
) -> ChannelResponse | None:
    method, path = route
    body = {"Version": 113, "NodeKey": str(key), **more}
    request = ChannelRequest(
        machine=asker.machine.public,
        version=113,
        remote="192.0.2.1",
        method=method,
        path=path,
        query={},
        body=json.dumps(body).encode(),
    )
    return await control.server.machine.handle(request, Unused())


async def joined(control: Control, name: str, key: str) -> TestNode:
    node = TestNode(name)
    async with node.connected(control) as client:
        assert isinstance(await node.join(client, key), Registered)
    return node


async def test_endpoints_for_nodes_tell_nobody_else_anything(control: Control) -> None:
    key = await control.add_auth_key(await control.add_user())
    living, expired, deleted, waiting = [
        await joined(control, name, key) for name in ("living", "expired", "deleted", "waiting")
    ]
    ledger = control.server.ledger
    records = {
        name: ledger.tailnet.node_by_name(name) for name in ("expired", "deleted", "waiting")
    }
    async with ledger.transaction("test") as transaction:
        over, gone, new = records["expired"], records["deleted"], records["waiting"]
        assert over and gone and new  # noqa: PT018  they were let in above
        await transaction.save_node(replace(over, expires_at=datetime.now(UTC)), over)
        await transaction.save_node(replace(new, is_authorized=False), new)
        await transaction.delete_node(gone)
    stranger = TestNode()
    for route, found in control.server.machine.routes.items():
        if not found.speaks_for_node:
            assert route in TELL_A_MACHINE_OF_ITSELF
            continue
        own = await ask(control, route, living, living.key.public)
        assert own is not None
        assert 200 <= own.status < 300, route
        refusals = {
            await ask(control, route, asker, node_key)
            for asker, node_key in (
                (stranger, living.key.public),
                (stranger, NodePrivate(bytes(32)).public),
                (stranger, deleted.key.public),
                (expired, expired.key.public),
                (deleted, deleted.key.public),
                (waiting, waiting.key.public),
            )
        }
        (refusal,) = refusals
        assert refusal is not None
        assert refusal.status == 404, route


async def test_polling_tells_strangers_nothing(control: Control) -> None:
    key = await control.add_auth_key(await control.add_user())
    living, expired = [await joined(control, name, key) for name in ("living", "expired")]
    ledger = control.server.ledger
    record = ledger.tailnet.node_by_name("expired")
    assert record is not None
    async with ledger.transaction("test") as transaction:
        await transaction.save_node(replace(record, expires_at=datetime.now(UTC)), record)
    stranger, unknown = TestNode(), NodePrivate(bytes(32)).public
    for how in ({"Stream": True}, {"Stream": False}, {"OmitPeers": True}, {"ReadOnly": True}):
        answers = {
            await ask(control, ("POST", "/machine/map"), stranger, node_key, **how)
            for node_key in (living.key.public, expired.key.public, unknown)
        }
        (answer,) = answers
        assert answer is not None
        assert answer.status == 404


async def test_registering_tells_strangers_nothing(control: Control) -> None:
    good = await control.add_auth_key(await control.add_user())
    victim = await joined(control, "victim", good)
    unknown = NodePrivate(bytes(31) + b"1").public
    auth = {"Auth": {"AuthKey": "hskey-auth-000000000000-" + "0" * 64}}
    for more in ({}, auth, {"Expiry": "2001-01-01T00:00:00Z"}, {"Expiry": "2999-01-01T00:00:00Z"}):
        shapes = []
        for node_key in (victim.key.public, unknown):
            answer = await ask(control, ("POST", "/machine/register"), TestNode(), node_key, **more)
            assert answer is not None
            said = json.loads(answer.body)
            # Two logins have two addresses.
            said["AuthURL"] = bool(said["AuthURL"])
            shapes.append((answer.status, said))
        assert shapes[0] == shapes[1], more


async def test_foreign_node_key_is_not_taken_over(control: Control) -> None:
    user = await control.add_user()
    victim = await joined(control, "victim", await control.add_auth_key(user))
    single = await control.add_auth_key(user, is_reusable=False)
    thief = TestNode("thief")
    async with thief.connected(control) as client:
        stolen = RegisterRequest.from_json(
            {**thief.login(single).request.to_json(), "NodeKey": str(victim.key.public)}
        )
        answer = await client.register(stolen)
        assert "another machine" in answer.error
        # Nothing was done: the key is still good.
        assert isinstance(await thief.join(client, single), Registered)
    record = control.server.ledger.tailnet.node_by_key(victim.key.public)
    assert record is not None
    assert record.machine_key == victim.machine.public
