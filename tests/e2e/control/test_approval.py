"""Nodes and routes that wait for somebody's word."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from control.identity.enrolment import Admission
from control.operations.nodes import approve_node
from control.store import queries
from control.store.records import RegisterMethod, TailnetSettings
from node.session.login import Registered
from tests.support.control_server import TestNode, control_config, running_control

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.support.control_server import Control


@pytest.fixture
async def careful(tmp_path: Path) -> AsyncIterator[Control]:
    config = control_config(tmp_path, node={"approval_required": True})
    async with running_control(config) as running:
        yield running


async def test_new_node_waits_and_is_seen_once_it_is_approved(careful: Control) -> None:
    user = await careful.add_user()
    trusted = await careful.add_auth_key(user, is_preauthorized=True)
    plain = await careful.add_auth_key(user)
    first, second = TestNode("first"), TestNode("second")
    async with first.connected(careful) as one, second.connected(careful) as two:
        outcome = await first.join(one, trusted)
        assert isinstance(outcome, Registered)
        assert outcome.is_authorized
        outcome = await second.join(two, plain)
        assert isinstance(outcome, Registered)
        assert not outcome.is_authorized
        watching, waiting = first.stream(one), second.stream(two)
        await watching.next()
        await waiting.next()
        assert waiting.held.self_node.machine_authorized is False
        assert (waiting.held.peers, waiting.held.filters) == ({}, {"base": ()})
        assert watching.held.peers == {}
        record = careful.server.ledger.tailnet.node_by_name("second")
        assert record is not None
        await approve_node(careful.server.ledger, "test", record.id)
        await waiting.until(lambda n: n.self_node.machine_authorized and n.peers)
        await watching.until(lambda n: n.peers)


async def test_approval_lasts_and_a_trusted_key_gives_it_later(careful: Control) -> None:
    user = await careful.add_user()
    node = TestNode()
    async with node.connected(careful) as client:
        await node.join(client, await careful.add_auth_key(user))
        ledger = careful.server.ledger
        assert [n.is_authorized for n in ledger.tailnet.nodes] == [False]
        await client.log_out(node.key.public)
        outcome = await node.join(client, await careful.add_auth_key(user, is_preauthorized=True))
        assert isinstance(outcome, Registered)
        assert outcome.is_authorized
        await client.log_out(node.key.public)
        outcome = await node.join(client, await careful.add_auth_key(user))
        assert isinstance(outcome, Registered)
        assert outcome.is_authorized


@pytest.mark.parametrize(
    ("method", "is_authorized"), [(RegisterMethod.CLI, True), (RegisterMethod.OIDC, False)]
)
async def test_administrators_word_is_an_approval(
    careful: Control, method: RegisterMethod, *, is_authorized: bool
) -> None:
    node = TestNode()
    async with node.connected(careful) as client:
        url = (await client.register(node.login().request)).auth_url
        login = careful.server.logins.find(url.rpartition("/")[2])
        assert login is not None
        admission = Admission(user=await careful.add_user(), method=method)
        record = await careful.server.registrar.admit(login, admission)
    assert record.is_authorized is is_authorized


async def test_tailnets_own_setting_goes_before_the_configuration(tmp_path: Path) -> None:
    config = control_config(tmp_path)
    async with running_control(config) as control:
        ledger = control.server.ledger
        key = await control.add_auth_key(await control.add_user())
        async with ledger.transaction("test") as transaction:
            before = ledger.tailnet.settings
            await transaction.save_settings(replace(before, devices_approval_on=True), before)
    # It is kept.
    async with running_control(config) as control:
        node = TestNode()
        async with node.connected(control) as client:
            outcome = await node.join(client, key)
        assert isinstance(outcome, Registered)
        assert not outcome.is_authorized
        async with control.server.database.reading() as connection:
            assert await queries.settings(connection) == TailnetSettings(devices_approval_on=True)


APPROVING = """{
  "autoApprovers": {"routes": {"10.0.0.0/8": ["ann@example.com"]}},
}"""


def routes(control: Control) -> list[str]:
    (record,) = control.server.ledger.tailnet.nodes
    return [str(route) for route in record.approved_routes]


async def test_another_policy_neither_withdraws_nor_approves_what_is_there(
    control: Control,
) -> None:
    await control.server.keeper.set(APPROVING, "test")
    key = await control.add_auth_key(await control.add_user())
    node = TestNode(hostinfo={"RoutableIPs": ["10.1.0.0/16"]})
    async with node.connected(control) as client:
        await node.join(client, key)
    upkeep, loop = control.server.upkeep, asyncio.get_running_loop()
    assert routes(control) == ["10.1.0.0/16"]
    await control.server.keeper.set("{}", "test")
    await upkeep.tick(loop.time())
    assert routes(control) == ["10.1.0.0/16"]
    node.hostinfo["RoutableIPs"] = ["10.1.0.0/16", "10.3.0.0/16"]
    async with node.connected(control) as client:
        await client.report(node.request(stream=False, omit_peers=True))
    await control.server.keeper.set(APPROVING, "test")
    await upkeep.tick(loop.time())
    assert routes(control) == ["10.1.0.0/16"]


async def test_client_that_hangs_up_in_the_middle_leaves_nothing_half_done(
    control: Control,
) -> None:
    user = await control.add_user()
    for turn in range(20):
        key = await control.add_auth_key(user, is_reusable=False)
        node = TestNode(f"n{turn}")
        async with node.connected(control) as client:
            joining = asyncio.create_task(node.join(client, key))
            await asyncio.sleep(turn / 2000)
            joining.cancel()
            await asyncio.wait({joining})
        async with node.connected(control) as client:
            assert isinstance(await node.join(client, key), Registered), turn
    async with control.server.database.reading() as connection:
        stored = await queries.nodes(connection)
    held = control.server.ledger.tailnet.nodes
    assert {n.id: n.ipv4 for n in stored} == {n.id: n.ipv4 for n in held}
    assert len(stored) == 20
