"""Statements on users, nodes and versions of the policy, one function each.

Every function takes the connection of the caller's transaction, so that several of them become
durable together or not at all.
"""

from __future__ import annotations

from dataclasses import asdict, fields, replace
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from control.errors import AlreadyExistsError, NotFoundError
from control.store.records import (
    AuditEntry,
    NodeRecord,
    PolicyVersion,
    TailnetSettings,
    UserRecord,
)
from control.store.rows import (
    audit_entry_of_row,
    node_of_row,
    node_to_row,
    policy_version_of_row,
    user_of_row,
    user_to_row,
)
from control.store.schema import (
    AUDIT_LOG,
    DELETED_NODES,
    NODES,
    POLICY_VERSIONS,
    SETTINGS,
    USERS,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from sqlalchemy.ext.asyncio import AsyncConnection

    from control.keys import NodePublic

__all__ = [
    "REPORTED",
    "add_audit_entry",
    "add_node",
    "add_policy_version",
    "add_user",
    "audit_entries",
    "delete_node",
    "delete_user",
    "deleted_node_machine_key",
    "lock_policy",
    "node",
    "node_by_key",
    "nodes",
    "policy_version",
    "policy_versions",
    "save_node",
    "save_nodes",
    "save_settings",
    "save_user",
    "settings",
    "user",
    "users",
]


async def _all(connection: AsyncConnection, statement: sa.Select[Any]) -> list[Mapping[str, Any]]:
    return [dict(row) for row in (await connection.execute(statement)).mappings()]


async def _insert(connection: AsyncConnection, table: sa.Table, row: Mapping[str, Any]) -> int:
    values = {name: value for name, value in row.items() if name != "id"}
    result = await connection.execute(table.insert().values(**values).returning(table.c.id))
    return int(result.scalar_one())


def _differing(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """Return the columns to write; the number is always there, for no statement may be empty."""
    return {name: value for name, value in new.items() if name == "id" or value != old[name]}


async def users(connection: AsyncConnection) -> list[UserRecord]:
    """Return all users by number."""
    return [user_of_row(row) for row in await _all(connection, sa.select(USERS).order_by("id"))]


async def user(connection: AsyncConnection, user_id: int) -> UserRecord | None:
    """Return one user, or None."""
    rows = await _all(connection, sa.select(USERS).where(USERS.c.id == user_id))
    return user_of_row(rows[0]) if rows else None


async def add_user(connection: AsyncConnection, made: UserRecord) -> UserRecord:
    """Insert a user, whatever its number, and return it with its own.

    Raises AlreadyExistsError where the name is taken.
    """
    try:
        return replace(made, id=await _insert(connection, USERS, user_to_row(made)))
    except sa.exc.IntegrityError:
        raise AlreadyExistsError(
            f"user {made.name!r} exists already; choose another name"
        ) from None


async def save_user(connection: AsyncConnection, changed: UserRecord, before: UserRecord) -> None:
    """Write the columns in which a user differs from what it was.

    The others may have been changed meanwhile by somebody else, also by another server. Raises
    NotFoundError or AlreadyExistsError.
    """
    values = _differing(user_to_row(before), user_to_row(changed))
    statement = USERS.update().where(USERS.c.id == changed.id).values(**values)
    try:
        result = await connection.execute(statement)
    except sa.exc.IntegrityError:
        raise AlreadyExistsError(
            f"user {changed.name!r} exists already; choose another name"
        ) from None
    if result.rowcount == 0:
        raise NotFoundError(f"there is no user {changed.id}")


async def delete_user(connection: AsyncConnection, user_id: int) -> None:
    """Delete a user; raises AlreadyExistsError while nodes or auth keys are theirs."""
    try:
        result = await connection.execute(USERS.delete().where(USERS.c.id == user_id))
    except sa.exc.IntegrityError:
        raise AlreadyExistsError(
            f"user {user_id} still owns nodes or auth keys; delete those first"
        ) from None
    if result.rowcount == 0:
        raise NotFoundError(f"there is no user {user_id}")


async def nodes(connection: AsyncConnection) -> list[NodeRecord]:
    """Return all nodes by number."""
    return [node_of_row(row) for row in await _all(connection, sa.select(NODES).order_by("id"))]


async def node(connection: AsyncConnection, node_id: int) -> NodeRecord | None:
    """Return one node, or None."""
    rows = await _all(connection, sa.select(NODES).where(NODES.c.id == node_id))
    return node_of_row(rows[0]) if rows else None


async def add_node(connection: AsyncConnection, made: NodeRecord) -> NodeRecord:
    """Insert a node, whatever its number, and return it with its own.

    Raises AlreadyExistsError where its node key, name or an address is taken.
    """
    try:
        return replace(made, id=await _insert(connection, NODES, node_to_row(made)))
    except sa.exc.IntegrityError:
        raise AlreadyExistsError("the node's key, name or address is taken") from None


async def save_node(connection: AsyncConnection, changed: NodeRecord, before: NodeRecord) -> None:
    """Write the columns in which a node differs from what it was.

    The others may have been changed meanwhile by somebody else, also by another server. Raises
    NotFoundError or AlreadyExistsError.
    """
    values = _differing(node_to_row(before), node_to_row(changed))
    statement = NODES.update().where(NODES.c.id == changed.id).values(**values)
    try:
        result = await connection.execute(statement)
    except sa.exc.IntegrityError:
        raise AlreadyExistsError("the node's key, name or address is taken") from None
    if result.rowcount == 0:
        raise NotFoundError(f"there is no node {changed.id}")


REPORTED = (
    "disco_key",
    "hostinfo",
    "endpoints",
    "home_derp",
    "capability_version",
    "last_seen",
)
"""What a node says about itself and may say again: written late, in batches."""


async def save_nodes(connection: AsyncConnection, changed: Iterable[NodeRecord]) -> None:
    """Write what nodes report about themselves, in one batch; deleted nodes are passed over."""
    rows = [node_to_row(each) for each in changed]
    if not rows:
        return
    statement = (
        NODES.update()
        .where(NODES.c.id == sa.bindparam("the_id"))
        .values({name: sa.bindparam(f"the_{name}", type_=NODES.c[name].type) for name in REPORTED})
    )
    await connection.execute(
        statement,
        [{"the_id": row["id"], **{f"the_{name}": row[name] for name in REPORTED}} for row in rows],
    )


async def node_by_key(connection: AsyncConnection, key: NodePublic) -> NodeRecord | None:
    """Return the node with this node key, or None."""
    rows = await _all(connection, sa.select(NODES).where(NODES.c.node_key == key.to_text()))
    return node_of_row(rows[0]) if rows else None


async def delete_node(connection: AsyncConnection, gone: NodeRecord, now: datetime) -> None:
    """Delete a node and remember its key, so that it can be told; raises NotFoundError."""
    result = await connection.execute(NODES.delete().where(NODES.c.id == gone.id))
    if result.rowcount == 0:
        raise NotFoundError(f"there is no node {gone.id}")
    key = gone.node_key.to_text()
    await connection.execute(DELETED_NODES.delete().where(DELETED_NODES.c.node_key == key))
    await connection.execute(
        DELETED_NODES.insert().values(
            node_key=key, machine_key=gone.machine_key.to_text(), node_id=gone.id, deleted_at=now
        )
    )


async def deleted_node_machine_key(connection: AsyncConnection, key: NodePublic) -> str | None:
    """Return the machine key that a deleted node key belonged to, or None."""
    statement = sa.select(DELETED_NODES.c.machine_key).where(
        DELETED_NODES.c.node_key == key.to_text()
    )
    return (await connection.execute(statement)).scalar_one_or_none()


async def lock_policy(connection: AsyncConnection) -> None:
    """Keep everybody else from adding versions of the policy until the transaction ends.

    What is read after it is the newest there is. SQLite has one writer at a time in any case.
    """
    if connection.dialect.name == "postgresql":
        # Conflicts with itself and with inserts, not with reading.
        await connection.execute(
            sa.text(f"LOCK TABLE {POLICY_VERSIONS.name} IN SHARE ROW EXCLUSIVE MODE")
        )


async def add_policy_version(
    connection: AsyncConnection, text: str, author: str, now: datetime
) -> PolicyVersion:
    """Insert a version of the policy, which thereby is the newest."""
    row = {"text": text, "author": author, "created_at": now}
    return PolicyVersion(id=await _insert(connection, POLICY_VERSIONS, row), **row)  # type: ignore[arg-type]  # the row's types are those of the columns


async def policy_versions(connection: AsyncConnection, *, most: int) -> list[PolicyVersion]:
    """Return the newest versions, newest first."""
    statement = sa.select(POLICY_VERSIONS).order_by(POLICY_VERSIONS.c.id.desc()).limit(most)
    return [policy_version_of_row(row) for row in await _all(connection, statement)]


async def policy_version(connection: AsyncConnection, version_id: int) -> PolicyVersion | None:
    """Return one version, or None."""
    statement = sa.select(POLICY_VERSIONS).where(POLICY_VERSIONS.c.id == version_id)
    rows = await _all(connection, statement)
    return policy_version_of_row(rows[0]) if rows else None


async def settings(connection: AsyncConnection) -> TailnetSettings:
    """Return what administrators set; rows that this version does not know are passed over."""
    known = {item.name for item in fields(TailnetSettings)}
    rows = await _all(connection, sa.select(SETTINGS))
    return TailnetSettings(**{row["name"]: row["value"] for row in rows if row["name"] in known})


async def save_settings(
    connection: AsyncConnection, changed: TailnetSettings, before: TailnetSettings
) -> None:
    """Write the settings that differ from what they were."""
    old = asdict(before)
    for name, value in asdict(changed).items():
        if value != old[name]:
            await connection.execute(SETTINGS.delete().where(SETTINGS.c.name == name))
            await connection.execute(SETTINGS.insert().values(name=name, value=value))


async def add_audit_entry(
    connection: AsyncConnection,
    *,
    at: datetime,
    actor: str,
    action: str,
    target: str,
    details: Mapping[str, Any] | None = None,
) -> None:
    """Note who did what; part of the transaction that does it."""
    row = {
        "at": at,
        "actor": actor,
        "action": action,
        "target": target,
        "details": dict(details or {}),
    }
    await connection.execute(AUDIT_LOG.insert().values(**row))


async def audit_entries(connection: AsyncConnection, *, most: int) -> list[AuditEntry]:
    """Return the newest entries, newest first."""
    statement = sa.select(AUDIT_LOG).order_by(AUDIT_LOG.c.id.desc()).limit(most)
    return [audit_entry_of_row(row) for row in await _all(connection, statement)]
