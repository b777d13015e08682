"""Two servers on one PostgreSQL serve one tailnet."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from ipaddress import ip_network
from typing import TYPE_CHECKING

import pytest

from control.errors import StaleError
from control.identity.oidc_people import Person, keep_person
from control.operations.nodes import approve_routes, expire_node, rename_node
from control.operations.users import rename_user, set_role
from control.policies.in_force import ALLOW_ALL_TEXT, InForce, etag_of
from control.registry.liveness import SILENCE_S
from control.store import queries
from control.store.records import Role
from node.session.login import LoginFailed, Registered
from tests.support.control_server import TestNode, control_config, running_control

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from tests.support.control_server import Control
    from tests.support.postgres import PostgresServer


@pytest.fixture
async def pair(postgres: PostgresServer, tmp_path: Path) -> AsyncIterator[tuple[Control, Control]]:
    url = postgres.url()
    here = control_config(tmp_path, database=url)
    there = control_config(tmp_path, database=url, unix_socket=str(tmp_path / "other.sock"))
    async with running_control(here) as one, running_control(there) as two:
        yield one, two


async def test_node_at_one_server_sees_a_node_at_the_other(pair: tuple[Control, Control]) -> None:
    one, two = pair
    key = await one.add_auth_key(await one.add_user())
    first, second = TestNode("alpha"), TestNode("beta")
    async with first.connected(one) as here, second.connected(two) as there:
        await first.join(here, key)
        stream = first.stream(here)
        await stream.next()
        assert isinstance(await second.join(there, key), Registered)
        netmap = await stream.until(lambda n: n.peers)
        (peer,) = netmap.peers.values()
        assert (peer.name, [str(a) for a in peer.addresses or ()][:1]) == (
            "beta.tail.example.",
            ["100.64.0.2/32"],
        )
        await second.stream(there).next()
        netmap = await stream.until(
            lambda n: all(p.online and p.endpoints for p in n.peers.values())
        )
        assert next(iter(netmap.peers.values())).disco_key == second.disco.public


async def test_policy_set_at_one_server_reaches_nodes_of_the_other(
    pair: tuple[Control, Control],
) -> None:
    one, two = pair
    key = await one.add_auth_key(await one.add_user())
    node = TestNode()
    async with node.connected(two) as client:
        await node.join(client, key)
        stream = node.stream(client)
        await stream.until(lambda n: n.filters["base"])
        await one.server.keeper.set('{"acls": []}', "test")
        await stream.until(lambda n: n.filters == {"base": ()})
    assert two.server.keeper.in_force.text == '{"acls": []}'


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_policy_that_two_change_at_once_takes_one_change(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url = f"sqlite:///{tmp_path / 'shared.db'}"
    if kind == "postgresql":
        url = request.getfixturevalue("postgres").url()
    here = control_config(tmp_path, database=url)
    there = control_config(tmp_path, database=url, unix_socket=str(tmp_path / "other.sock"))
    async with running_control(here) as one, running_control(there) as two:
        etag, texts = etag_of(ALLOW_ALL_TEXT), []
        for at in range(4):
            offers = [f'{{"acls": [], /* {at} of {name} */}}' for name in ("one", "two")]
            outcomes = await asyncio.gather(
                *(
                    server.server.keeper.set(text, "test", if_match=etag)
                    for server, text in zip((one, two), offers, strict=True)
                ),
                return_exceptions=True,
            )
            (in_force,) = (each for each in outcomes if isinstance(each, InForce))
            assert [type(o) for o in outcomes if o is not in_force] == [StaleError]
            texts.append(in_force.text)
            etag = in_force.etag
        history = await one.server.keeper.history()
        assert [version.text for version in reversed(history)] == texts


async def test_policy_is_changed_by_who_knows_it_though_the_server_does_not_yet(
    postgres: PostgresServer, tmp_path: Path
) -> None:
    url = postgres.url()
    here = control_config(tmp_path, database=url)
    there = control_config(tmp_path, database=url, unix_socket=str(tmp_path / "other.sock"))
    async with running_control(here) as one, running_control(there) as two:
        # As if its word were still under way.
        async with two.server.ledger.database.writing() as connection:
            text = '{"acls": [], /* newer */}'
            await queries.add_policy_version(connection, text, "test", datetime.now(UTC))
        for if_match in (one.server.keeper.in_force.etag, '"ts-default"'):
            with pytest.raises(StaleError):
                await one.server.keeper.set("{}", "test", if_match=if_match)
        changed = await one.server.keeper.set("{}", "test", if_match=etag_of(text))
        assert changed.version == 2


async def test_changes_of_a_user_at_two_servers_at_once_both_hold(
    pair: tuple[Control, Control],
) -> None:
    one, two = pair
    user = await one.add_user(provider="oidc", provider_id="https://id.example/7")
    tailnets = [each.server.ledger.tailnet for each in pair]
    async with asyncio.timeout(60):
        while tailnets[1].user(user.id) != user:  # noqa: ASYNC110  there is no event for it
            await asyncio.sleep(0.01)
    person = Person(
        provider_id="https://id.example/7",
        name=user.name,
        display_name="Ann",
        email=user.email,
        picture_url="",
        groups=("eng@id.example",),
        role=None,
        vouched_until=datetime.now(UTC),
    )
    # The login and the change of role are made from the same record.
    await asyncio.gather(
        keep_person(one.server.ledger, person),
        set_role(two.server.ledger, "test", user.id, "admin"),
        rename_user(two.server.ledger, "test", user.id, "anna"),
    )
    wanted = replace(
        user, name="anna", display_name="Ann", groups=("eng@id.example",), role=Role.ADMIN
    )
    async with asyncio.timeout(60):
        while [t.user(user.id) for t in tailnets] != [wanted, wanted]:  # noqa: ASYNC110  as above
            await asyncio.sleep(0.01)
    async with one.server.database.reading() as connection:
        assert await queries.user(connection, user.id) == wanted


async def test_single_use_key_lets_one_node_in_at_either_server(
    pair: tuple[Control, Control],
) -> None:
    one, two = pair
    key = await one.add_auth_key(await one.add_user(), is_reusable=False)
    outcomes = []
    for server, node in ((one, TestNode("alpha")), (two, TestNode("beta"))):
        async with node.connected(server) as client:
            outcomes.append(await node.join(client, key))
    assert [type(outcome) for outcome in outcomes] == [Registered, LoginFailed]


async def test_nodes_of_a_silent_server_are_offline_until_it_speaks_again(
    pair: tuple[Control, Control],
) -> None:
    one, two = pair
    key = await one.add_auth_key(await one.add_user())
    first, second = TestNode("alpha"), TestNode("beta")
    async with first.connected(one) as here, second.connected(two) as there:
        await first.join(here, key)
        await second.join(there, key)
        kept, stream = second.stream(there), first.stream(here)
        await kept.next()
        netmap = await stream.until(lambda n: [p.online for p in n.peers.values()] == [True])
        (number,) = netmap.peers
        tailnet = one.server.ledger.tailnet
        # As if nothing had been heard for so long; the next word of the other puts it right.
        one.server.neighbours.give_up(asyncio.get_running_loop().time() + SILENCE_S)
        assert not tailnet.is_online(number)
        async with asyncio.timeout(60):
            while not tailnet.is_online(number):  # noqa: ASYNC110  the server has no event for it
                await asyncio.sleep(0.01)


async def test_server_that_starts_learns_who_is_connected_elsewhere(
    postgres: PostgresServer, tmp_path: Path
) -> None:
    url = postgres.url()
    node, watcher = TestNode("alpha"), TestNode("beta")
    async with running_control(control_config(tmp_path, database=url)) as one:
        key = await one.add_auth_key(await one.add_user())
        other = control_config(tmp_path, database=url, unix_socket=str(tmp_path / "other.sock"))
        async with node.connected(one) as here:
            await node.join(here, key)
            kept = node.stream(here)
            await kept.next()
            async with running_control(other) as two, watcher.connected(two) as there:
                await watcher.join(there, key)
                netmap = await watcher.stream(there).until(
                    lambda n: any(p.online and p.name.startswith("alpha") for p in n.peers.values())
                )
    assert netmap.peers


async def test_node_that_moved_is_neither_offline_nor_given_up(
    pair: tuple[Control, Control],
) -> None:
    one, two = pair
    key = await one.add_auth_key(await one.add_user(), is_ephemeral=True)
    node = TestNode("alpha")
    async with node.connected(two) as there:
        async with node.connected(one) as here:
            await node.join(here, key)
            await node.stream(here).next()
            # Registered at one server a moment ago, and known to the other.
            kept = node.stream(there)
            await kept.next()
            (record,) = two.server.ledger.tailnet.nodes
            neighbours, tailnet = one.server.neighbours, one.server.ledger.tailnet
            await holds(lambda: neighbours.holds(record.id))
        await holds(lambda: one.server.ts2021.connection_count == 0)
        loop = asyncio.get_running_loop()
        await one.server.upkeep.tick(loop.time() + 11)
        await one.server.upkeep.tick(loop.time() + 3600)
        assert tailnet.is_online(record.id)
    await holds(lambda: two.server.ts2021.connection_count == 0)
    await two.server.upkeep.tick(loop.time() + 11)
    await holds(lambda: not tailnet.is_online(record.id))
    await two.server.upkeep.tick(loop.time() + 3600)
    await holds(lambda: tailnet.node(record.id) is None)


async def holds(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110  servers have no event for it
            await asyncio.sleep(0.01)


async def test_changes_to_one_node_at_both_servers_are_both_kept(
    pair: tuple[Control, Control],
) -> None:
    one, two = pair
    await one.server.keeper.set('{"tagOwners": {"tag:x": []}}', "test")
    key = await one.add_auth_key(await one.add_user())
    node = TestNode("alpha")
    async with node.connected(one) as client:
        await node.join(client, key)
    (record,) = one.server.ledger.tailnet.nodes
    await holds(lambda: two.server.ledger.tailnet.node(record.id) is not None)
    await asyncio.gather(
        rename_node(one.server.ledger, "t", record.id, "n", domain="tail.example"),
        approve_routes(two.server.ledger, "t", record.id, (ip_network("10.0.0.0/8"),)),
        expire_node(one.server.ledger, "t", record.id, datetime.now(UTC)),
    )

    def is_whole(control: Control) -> bool:
        found = control.server.ledger.tailnet.node(record.id)
        return (
            found is not None
            and found.given_name == "n"
            and found.expires_at is not None
            and found.approved_routes == (ip_network("10.0.0.0/8"),)
        )

    await holds(lambda: is_whole(one) and is_whole(two))
