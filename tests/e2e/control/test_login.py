"""Every way in and out: a person's login, renewal, rotation, logout, expiry, ephemeral nodes."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from control.identity.enrolment import Admission
from control.identity.logins import Outcome
from control.keys import NodePrivate
from control.operations.nodes import expire_node
from control.store.records import RegisterMethod
from control.wire import RegisterAuth, RegisterRequest
from node.session.driver import ControlRefusedError
from node.session.login import LoginFailed, Registered
from tests.support.control_server import TestNode

if TYPE_CHECKING:
    from control.store.records import UserRecord
    from node.session.driver import ControlClient
    from tests.support.control_server import Control


async def log_in_by_person(
    control: Control, node: TestNode, client: ControlClient, user: UserRecord
) -> Registered | LoginFailed:
    """Log in, and let a user approve as soon as the URL is known."""
    urls: asyncio.Queue[str] = asyncio.Queue()
    task = asyncio.create_task(client.log_in(node.login(), urls.put_nowait))
    url = await urls.get()
    login = control.server.logins.find(url.rpartition("/")[2])
    assert login is not None
    await control.server.registrar.admit(login, Admission(user=user, method=RegisterMethod.CLI))
    return await task


async def test_person_lets_a_node_in(control: Control) -> None:
    user = await control.add_user()
    node = TestNode()
    async with node.connected(control) as client:
        outcome = await log_in_by_person(control, node, client, user)
        assert isinstance(outcome, Registered)
        stream = node.stream(client)
        await stream.next()
    assert stream.held.self_node.user == user.id


async def test_person_says_no(control: Control) -> None:
    node = TestNode()
    async with node.connected(control) as client:
        urls: asyncio.Queue[str] = asyncio.Queue()
        task = asyncio.create_task(client.log_in(node.login(), urls.put_nowait))
        login = control.server.logins.find((await urls.get()).rpartition("/")[2])
        assert login is not None
        login.decide(Outcome(error="an administrator said no"))
        assert await task == LoginFailed("an administrator said no")


async def test_follow_up_by_another_machine_gets_a_login_of_its_own(control: Control) -> None:
    ann, eve = TestNode("ann"), TestNode("eve")
    async with ann.connected(control) as one, eve.connected(control) as two:
        first = await one.register(ann.login().request)
        stolen = replace(eve.login().request, followup=first.auth_url)
        answer = await two.register(stolen)
    assert answer.auth_url
    assert answer.auth_url != first.auth_url


@pytest.mark.parametrize(
    "url", ["https://x/other/1", "register/1", "https://x/register/../1", "https://x/register/"]
)
async def test_follow_up_with_another_path_is_refused(control: Control, url: str) -> None:
    node = TestNode()
    async with node.connected(control) as client:
        answer = await client.register(replace(node.login().request, followup=url))
    assert "log in again" in answer.error


async def test_renewal_keeps_number_and_addresses(control: Control) -> None:
    key = await control.add_auth_key(await control.add_user())
    node, peer = TestNode("alpha"), TestNode("beta")
    async with node.connected(control) as client, peer.connected(control) as other:
        await node.join(client, key)
        await peer.join(other, key)
        watching = peer.stream(other)
        await watching.until(lambda n: n.peers)
        before = next(iter(watching.held.peers.values()))
        old = node.key
        node.key = NodePrivate.generate(lambda length: bytes(range(1, length + 1)))
        outcome = await node.join(client, key, old_node_key=old.public)
        assert isinstance(outcome, Registered)
        netmap = await watching.until(lambda n: next(iter(n.peers.values())).key == node.key.public)
    after = next(iter(netmap.peers.values()))
    assert (after.id, after.addresses) == (before.id, before.addresses)
    assert len(control.server.ledger.tailnet) == 2
    # Peers hear of the new key by a patch, not by a whole node.
    assert watching.heard[-1].peers_changed is None


async def test_container_restart_needs_no_good_key(control: Control) -> None:
    key = await control.add_auth_key(await control.add_user(), is_reusable=False)
    node = TestNode()
    for _ in range(3):
        async with node.connected(control) as client:
            assert isinstance(await node.join(client, key), Registered)
    assert len(control.server.ledger.tailnet) == 1


async def test_used_key_lets_no_other_node_in(control: Control) -> None:
    key = await control.add_auth_key(await control.add_user(), is_reusable=False)
    for node, expected in ((TestNode(), Registered), (TestNode(), LoginFailed)):
        async with node.connected(control) as client:
            outcome = await node.join(client, key)
        assert isinstance(outcome, expected)
    assert outcome == LoginFailed("authkey already used")


async def test_logged_out_node_must_log_in_again_with_a_new_key(control: Control) -> None:
    key = await control.add_auth_key(await control.add_user())
    node = TestNode()
    async with node.connected(control) as client:
        await node.join(client, key)
        first_key = node.key
        await client.log_out(node.key.public)
        answer = await client.register(replace(node.login().request, auth=None))
        assert answer.node_key_expired
        await node.join(client, key)
    assert node.key != first_key or control.server.ledger.tailnet.node_by_key(node.key.public)


async def test_expired_node_sees_nobody_until_that_is_undone(
    control: Control,
) -> None:
    key = await control.add_auth_key(await control.add_user())
    node, peer = TestNode("alpha"), TestNode("beta")
    async with node.connected(control) as client, peer.connected(control) as other:
        await node.join(client, key)
        await peer.join(other, key)
        stream = node.stream(client)
        await stream.until(lambda n: n.peers)
        ledger = control.server.ledger
        record = ledger.tailnet.node_by_key(node.key.public)
        assert record is not None
        async with ledger.transaction("test") as transaction:
            await transaction.save_node(replace(record, expires_at=datetime.now(UTC)), record)
        netmap = await stream.until(lambda n: n.self_node.key_expiry is not None)
        assert netmap.is_expired(datetime.now(UTC))
        assert (netmap.peers, netmap.filters) == ({}, {"base": ()})
        await expire_node(ledger, "test", record.id, None)
        netmap = await stream.until(lambda n: n.self_node.key_expiry is None)
    assert len(netmap.peers) == 1
    assert netmap.filters["base"]


async def test_ephemeral_node_is_gone_when_it_logs_out(control: Control) -> None:
    key = await control.add_auth_key(await control.add_user(), is_ephemeral=True)
    node = TestNode()
    async with node.connected(control) as client:
        await node.join(client, key)
        await client.log_out(node.key.public)
    assert len(control.server.ledger.tailnet) == 0


async def test_ephemeral_node_is_given_up_when_it_stays_away(control: Control) -> None:
    key = await control.add_auth_key(await control.add_user(), is_ephemeral=True)
    node = TestNode()
    async with node.connected(control) as client:
        await node.join(client, key)
        loop = asyncio.get_running_loop()
        await control.server.upkeep.tick(loop.time() + 60)
        assert len(control.server.ledger.tailnet) == 1
        await control.server.upkeep.tick(loop.time() + 31 * 60)
    assert len(control.server.ledger.tailnet) == 0


async def test_deleted_node_is_told_to_log_in_again(control: Control) -> None:
    key = await control.add_auth_key(await control.add_user())
    node, stranger = TestNode(), TestNode()
    async with node.connected(control) as client, stranger.connected(control) as other:
        await node.join(client, key)
        ledger = control.server.ledger
        record = ledger.tailnet.node_by_key(node.key.public)
        assert record is not None
        async with ledger.transaction("test") as transaction:
            await transaction.delete_node(record)
        stream = node.stream(client)
        await stream.next()
        assert stream.held.is_expired(datetime.now(UTC))
        with pytest.raises(ControlRefusedError, match="404"):
            await anext(other.poll(node.request()))


async def test_foreign_node_key_gets_the_answer_of_an_unknown_one(control: Control) -> None:
    key = await control.add_auth_key(await control.add_user())
    victim, eve = TestNode("victim"), TestNode("eve")
    async with victim.connected(control) as one, eve.connected(control) as two:
        await victim.join(one, key)
        answers = []
        for node_key in (victim.key.public, NodePrivate(bytes(32)).public):
            with pytest.raises(ControlRefusedError) as caught:
                await anext(two.poll(eve.request(node_key=node_key)))
            answers.append(str(caught.value))
            logout = RegisterRequest(
                version=113, node_key=node_key, expiry=datetime.now(UTC) - timedelta(days=1)
            )
            assert (await two.register(logout)).node_key_expired
    assert answers[0] == answers[1]
    record = control.server.ledger.tailnet.node_by_key(victim.key.public)
    assert record is not None
    assert record.expires_at is None


async def test_old_client_is_refused_before_anything_is_done(control: Control) -> None:
    key = await control.add_auth_key(await control.add_user())
    node = TestNode()
    request = replace(node.login(key).request, version=112, auth=RegisterAuth(auth_key=key))
    async with node.connected(control) as client:
        answer = await client.register(request)
    assert answer.error.startswith("unsupported client version: 112")
    assert len(control.server.ledger.tailnet) == 0


async def test_requested_tags_need_an_owner(control: Control) -> None:
    user = await control.add_user()
    await control.server.keeper.set(
        '{"tagOwners": {"tag:web": ["ann@example.com"], "tag:db": []}}', "test"
    )
    good = TestNode("good", hostinfo={"RequestTags": ["tag:web"]})
    async with good.connected(control) as client:
        outcome = await log_in_by_person(control, good, client, user)
    assert isinstance(outcome, Registered)
    assert outcome.login_name == "tagged-devices"
    bad = TestNode("bad", hostinfo={"RequestTags": ["tag:web", "tag:db"]})
    async with bad.connected(control) as client:
        with pytest.raises(Exception, match="tag:db"):
            await log_in_by_person(control, bad, client, user)
    assert len(control.server.ledger.tailnet) == 1


APPROVING = """{
  "tagOwners": {"tag:web": []},
  "autoApprovers": {"routes": {"10.0.0.0/8": ["ann@example.com"]}},
}"""


def approved(control: Control) -> list[str]:
    (record,) = control.server.ledger.tailnet.nodes
    return [str(route) for route in record.approved_routes]


async def test_policy_approves_routes_when_they_are_advertised(control: Control) -> None:
    key = await control.add_auth_key(await control.add_user())
    node = TestNode(hostinfo={"RoutableIPs": ["10.1.0.0/16"]})
    async with node.connected(control) as client:
        await node.join(client, key)
        await control.server.keeper.set(APPROVING, "test")
        stream = node.stream(client)
        await stream.next()
        assert approved(control) == []
        for advertised in ([], ["10.1.0.0/16"]):
            node.hostinfo["RoutableIPs"] = advertised
            stream = node.stream(client)
            await stream.next()
    assert approved(control) == ["10.1.0.0/16"]


async def test_node_of_another_owner_loses_what_the_policy_approved(control: Control) -> None:
    await control.server.keeper.set(APPROVING, "test")
    key = await control.add_auth_key(await control.add_user())
    tagged = await control.add_auth_key(tags=("tag:web",))
    node = TestNode(hostinfo={"RoutableIPs": ["10.1.0.0/16"]})
    async with node.connected(control) as client:
        await node.join(client, key)
        assert approved(control) == ["10.1.0.0/16"]
        await node.join(client, tagged)
    assert approved(control) == []
