"""Users, nodes, policies and the audit log, on both databases."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address
from typing import TYPE_CHECKING, Any

import pytest

from control.errors import AlreadyExistsError, NotFoundError
from control.store import queries
from control.store.records import Role, TailnetSettings
from control.wire import Hostinfo
from tests.support.records import NOW, node_record, user_record

if TYPE_CHECKING:
    from control.store.database import Database


@pytest.fixture
async def with_ann(database: Database) -> Database:
    async with database.writing() as transaction:
        await queries.add_user(transaction, user_record())
    return database


async def test_user_round_trips(with_ann: Database) -> None:
    async with with_ann.reading() as connection:
        assert await queries.user(connection, 1) == user_record()
        assert await queries.user(connection, 2) is None


async def test_name_of_a_user_is_taken_once(with_ann: Database) -> None:
    with pytest.raises(AlreadyExistsError, match="'ann' exists"):
        async with with_ann.writing() as transaction:
            await queries.add_user(transaction, user_record(provider_id=None))


async def test_user_can_be_renamed(with_ann: Database) -> None:
    async with with_ann.writing() as transaction:
        await queries.save_user(transaction, user_record(name="anna"), user_record())
    async with with_ann.reading() as connection:
        assert [user.name for user in await queries.users(connection)] == ["anna"]


async def test_saving_a_user_leaves_what_others_changed(with_ann: Database) -> None:
    before = user_record()
    async with with_ann.writing() as transaction:
        await queries.save_user(transaction, replace(before, role=Role.ADMIN), before)
        await queries.save_user(transaction, replace(before, groups=("eng@x",)), before)
        await queries.save_user(transaction, before, before)
    async with with_ann.reading() as connection:
        assert await queries.user(connection, before.id) == replace(
            before, role=Role.ADMIN, groups=("eng@x",)
        )


async def test_user_with_nodes_is_not_deleted(with_ann: Database) -> None:
    async with with_ann.writing() as transaction:
        await queries.add_node(transaction, node_record())
    with pytest.raises(AlreadyExistsError, match="still owns"):
        async with with_ann.writing() as transaction:
            await queries.delete_user(transaction, 1)


async def test_node_round_trips(with_ann: Database) -> None:
    async with with_ann.writing() as transaction:
        assert await queries.add_node(transaction, node_record(id=77)) == node_record()
    async with with_ann.reading() as connection:
        assert await queries.node(connection, 1) == node_record()
        assert await queries.nodes(connection) == [node_record()]


@pytest.mark.parametrize(
    "shared",
    [
        {"node_key": node_record(1).node_key},
        {"given_name": "node-1"},
        {"ipv4": IPv4Address("100.64.0.1")},
        {"ipv6": node_record(1).ipv6},
    ],
)
async def test_nodes_share_no_key_name_or_address(
    with_ann: Database, shared: dict[str, Any]
) -> None:
    async with with_ann.writing() as transaction:
        await queries.add_node(transaction, node_record(1))
    with pytest.raises(AlreadyExistsError):
        async with with_ann.writing() as transaction:
            await queries.add_node(transaction, node_record(2, **shared))


async def test_number_of_a_deleted_node_does_not_come_back(with_ann: Database) -> None:
    async with with_ann.writing() as transaction:
        first = await queries.add_node(transaction, node_record(1))
        await queries.delete_node(transaction, first, NOW)
        again = await queries.add_node(transaction, node_record(1))
    assert again.id > first.id


async def test_key_of_a_deleted_node_is_remembered(with_ann: Database) -> None:
    async with with_ann.writing() as transaction:
        await queries.delete_node(
            transaction, await queries.add_node(transaction, node_record()), NOW
        )
    async with with_ann.reading() as connection:
        found = await queries.deleted_node_machine_key(connection, node_record().node_key)
        other = await queries.deleted_node_machine_key(connection, node_record(9).node_key)
    assert (found, other) == (node_record().machine_key.to_text(), None)


async def test_reports_of_nodes_are_saved_without_the_rest(with_ann: Database) -> None:
    async with with_ann.writing() as transaction:
        saved = await queries.add_node(transaction, node_record())
        reported = replace(saved, home_derp=7, hostinfo=Hostinfo({"OS": "plan9"}))
        await queries.save_nodes(
            transaction, [replace(reported, given_name="ignored"), node_record(99)]
        )
    async with with_ann.reading() as connection:
        assert await queries.nodes(connection) == [reported]


async def test_changes_from_one_state_of_a_node_are_both_kept(with_ann: Database) -> None:
    async with with_ann.writing() as transaction:
        read = await queries.add_node(transaction, node_record())
    for changed in (replace(read, given_name="other"), replace(read, expires_at=NOW)):
        async with with_ann.writing() as transaction:
            await queries.save_node(transaction, changed, read)
    async with with_ann.reading() as connection:
        assert await queries.nodes(connection) == [
            replace(read, given_name="other", expires_at=NOW)
        ]


async def test_settings_round_trip_one_by_one(database: Database) -> None:
    untouched = TailnetSettings()
    async with database.reading() as connection:
        assert await queries.settings(connection) == untouched
    for wanted in (True, False, None):
        changed = TailnetSettings(devices_approval_on=wanted)
        async with database.writing() as transaction:
            await queries.save_settings(transaction, changed, await queries.settings(transaction))
        async with database.reading() as connection:
            assert await queries.settings(connection) == changed


async def test_saving_or_deleting_what_is_not_there_says_so(database: Database) -> None:
    async with database.writing() as transaction:
        with pytest.raises(NotFoundError):
            await queries.save_node(transaction, node_record(user_id=None), node_record())
        with pytest.raises(NotFoundError):
            await queries.delete_node(transaction, node_record(), NOW)
        with pytest.raises(NotFoundError):
            await queries.save_user(transaction, user_record(), user_record())
        with pytest.raises(NotFoundError):
            await queries.delete_user(transaction, 5)


async def test_policy_versions_come_newest_first(database: Database) -> None:
    async with database.writing() as transaction:
        for text in ("{}", "{ }", "{  }"):
            await queries.add_policy_version(transaction, text, "ann", NOW)
    async with database.reading() as connection:
        newest = await queries.policy_versions(connection, most=2)
        first = await queries.policy_version(connection, 1)
        missing = await queries.policy_version(connection, 9)
    assert [version.text for version in newest] == ["{  }", "{ }"]
    assert first is not None
    assert (first.text, first.author, first.created_at) == ("{}", "ann", NOW)
    assert missing is None


async def test_audit_entries_come_newest_first(database: Database) -> None:
    async with database.writing() as transaction:
        for target in ("a", "b"):
            await queries.add_audit_entry(
                transaction, at=NOW, actor="ann", action="node.delete", target=target
            )
    async with database.reading() as connection:
        entries = await queries.audit_entries(connection, most=10)
    assert [(entry.target, entry.details) for entry in entries] == [("b", {}), ("a", {})]
