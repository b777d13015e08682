"""The one way to change the tailnet: durable first, then in memory, then told to who listens.

A transaction stages what it writes. Once the database has it, the records in memory follow in one
step, without anything else running in between, and listeners hear which members changed. Other
servers on the same PostgreSQL hear it through NOTIFY, which is part of the same transaction.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from control.store import queries

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable
    from datetime import datetime

    from sqlalchemy.ext.asyncio import AsyncConnection

    from control.keys import NodePublic
    from control.registry.tailnet import Tailnet
    from control.store.database import Database
    from control.store.records import NodeRecord, TailnetSettings, UserRecord

__all__ = ["CHANNEL", "Change", "Ledger", "Transaction"]

CHANNEL: Final = "postern_control"
"""PostgreSQL channel on which servers tell one another of changes."""
_MOST_IN_A_MESSAGE: Final = 400


@dataclass(frozen=True, slots=True)
class Change:
    """What is new since listeners last heard."""

    nodes: frozenset[int] = frozenset()
    """Nodes that were added, changed or removed."""
    users: frozenset[int] = frozenset()
    is_policy: bool = False
    """Another policy is in force."""
    is_settings: bool = False
    """An administrator changed what holds for the whole tailnet."""


@dataclass(slots=True)
class Transaction:
    """What is being written; `connection` serves statements that stage nothing."""

    connection: AsyncConnection
    actor: str
    now: datetime
    _nodes: list[NodeRecord] = field(default_factory=list)
    _changes: list[tuple[int, dict[str, Any]]] = field(default_factory=list)
    _settings: TailnetSettings | None = None
    _users: list[UserRecord] = field(default_factory=list)
    _user_changes: list[tuple[int, dict[str, Any]]] = field(default_factory=list)
    _dropped_nodes: list[int] = field(default_factory=list)
    _dropped_users: list[int] = field(default_factory=list)
    _reported: list[int] = field(default_factory=list)
    _is_policy: bool = False
    _effects: list[Callable[[], None]] = field(default_factory=list)

    async def add_node(self, node: NodeRecord) -> NodeRecord:
        """Insert a node and return it with its number."""
        added = await queries.add_node(self.connection, node)
        self._nodes.append(added)
        return added

    async def save_node(self, node: NodeRecord, before: NodeRecord) -> None:
        """Write what of a node differs from `before`, the record that the change was made from.

        Whatever else happened to the node since then stays.
        """
        await queries.save_node(self.connection, node, before)
        self._changes.append((node.id, _differing(before, node)))

    async def save_reports(self, nodes: Iterable[NodeRecord]) -> None:
        """Write what nodes reported; memory here has it already, other servers have not."""
        reported = list(nodes)
        await queries.save_nodes(self.connection, reported)
        self._reported.extend(node.id for node in reported)

    async def delete_node(self, node: NodeRecord) -> None:
        """Delete a node."""
        await queries.delete_node(self.connection, node, self.now)
        self._dropped_nodes.append(node.id)

    async def add_user(self, user: UserRecord) -> UserRecord:
        """Insert a user and return it with its number."""
        added = await queries.add_user(self.connection, user)
        self._users.append(added)
        return added

    async def save_user(self, user: UserRecord, before: UserRecord) -> None:
        """Write what of a user differs from `before`, as `save_node` does."""
        await queries.save_user(self.connection, user, before)
        self._user_changes.append((user.id, _differing(before, user)))

    async def delete_user(self, user_id: int) -> None:
        """Delete a user."""
        await queries.delete_user(self.connection, user_id)
        self._dropped_users.append(user_id)

    async def save_settings(self, settings: TailnetSettings, before: TailnetSettings) -> None:
        """Write the settings that differ from `before`."""
        await queries.save_settings(self.connection, settings, before)
        self._settings = settings

    async def add_policy(self, text: str) -> int:
        """Insert a version of the policy and return its number."""
        version = await queries.add_policy_version(self.connection, text, self.actor, self.now)
        self._is_policy = True
        return version.id

    def when_durable(self, effect: Callable[[], None]) -> None:
        """Have `effect` follow what was written, even where the writer is cancelled meanwhile."""
        self._effects.append(effect)

    async def audit(self, action: str, target: str, **details: Any) -> None:
        """Note what is being done."""
        await queries.add_audit_entry(
            self.connection,
            at=self.now,
            actor=self.actor,
            action=action,
            target=target,
            details=details,
        )

    def staged(self) -> Change:
        """Return what listeners will hear."""
        return Change(
            nodes=frozenset(
                {
                    *(node.id for node in self._nodes),
                    *(number for number, _ in self._changes),
                    *self._dropped_nodes,
                }
            ),
            users=frozenset(
                {
                    *(user.id for user in self._users),
                    *(number for number, _ in self._user_changes),
                    *self._dropped_users,
                }
            ),
            is_policy=self._is_policy,
            is_settings=self._settings is not None,
        )

    def payloads(self, change: Change, origin: str, serial: int) -> list[str]:
        """Return the messages for other servers, each short enough for PostgreSQL.

        `serial` is the transaction's number at this server, which knows it by that.
        """
        numbers = sorted({*change.nodes, *self._reported})
        parts = [
            numbers[at : at + _MOST_IN_A_MESSAGE]
            for at in range(0, len(numbers), _MOST_IN_A_MESSAGE)
        ]
        if not parts and (change.users or change.is_policy or change.is_settings):
            parts = [[]]
        return [
            json.dumps(
                {
                    "origin": origin,
                    "serial": serial,
                    "nodes": part,
                    "users": sorted(change.users),
                    "policy": change.is_policy,
                    "settings": change.is_settings,
                }
            )
            for part in parts
        ]

    def apply(self, tailnet: Tailnet) -> None:
        """Bring memory up to what the database now holds."""
        for user in self._users:
            tailnet.put_user(user)
        for user_id, changes in self._user_changes:
            held = tailnet.user(user_id)
            if held is not None:
                tailnet.put_user(replace(held, **changes))
        for node in self._nodes:
            tailnet.put_node(node)
        for node_id, changes in self._changes:
            current = tailnet.node(node_id)
            if current is not None:
                tailnet.put_node(replace(current, **changes))
        if self._settings is not None:
            tailnet.settings = self._settings
        for node_id in self._dropped_nodes:
            tailnet.drop_node(node_id)
        for user_id in self._dropped_users:
            tailnet.drop_user(user_id)
        for effect in self._effects:
            effect()


def _differing(before: NodeRecord | UserRecord, now: NodeRecord | UserRecord) -> dict[str, Any]:
    """Return the fields of a record that differ from those of another one of its kind."""
    values = {item.name: getattr(now, item.name) for item in fields(now)}
    return {name: value for name, value in values.items() if value != getattr(before, name)}


class Ledger:
    """Writes the tailnet and tells listeners."""

    def __init__(
        self, database: Database, tailnet: Tailnet, clock: Callable[[], datetime], origin: str
    ) -> None:
        self.database = database
        self.tailnet = tailnet
        self._clock = clock
        self._origin = origin
        self._listeners: list[Callable[[Change], None]] = []
        self._serial = 0
        self.doubted: set[int] = set()
        """Transactions whose outcome was lost with the connection to PostgreSQL. They may hold
        already, or hold later: then they are heard of as those of other servers are."""
        self.must_read_all = False
        """Memory may be behind the database."""
        self.untold: dict[int, bool] = {}
        """Nodes whose coming and going other servers were not told of yet."""
        self.wake = asyncio.Event()
        """Set when whoever follows other servers has something to do."""

    def now(self) -> datetime:
        """Return the wall clock's time, in UTC."""
        return self._clock()

    def listen(self, listener: Callable[[Change], None]) -> None:
        """Call `listener` after every change, on the event loop; it must not raise."""
        self._listeners.append(listener)

    def tell_neighbours(self, node_id: int, *, is_online: bool) -> None:
        """Have other servers told who is connected, which no row says, once they can be."""
        if not self.database.is_sqlite:
            self.untold[node_id] = is_online
            self.wake.set()

    def announce(self, change: Change) -> None:
        """Tell listeners of a change that memory holds already."""
        for listener in self._listeners:
            listener(change)

    @asynccontextmanager
    async def transaction(self, actor: str) -> AsyncIterator[Transaction]:
        """Give a transaction; what it staged takes effect when the block ends without raising."""
        staged: list[Transaction] = []
        self._serial += 1
        serial = self._serial

        def take_effect() -> None:
            for transaction in staged:
                transaction.apply(self.tailnet)
                change = transaction.staged()
                if change != Change():
                    self.announce(change)
            staged.clear()

        try:
            async with self.database.writing(take_effect) as connection:
                transaction = Transaction(connection, actor, self._clock())
                yield transaction
                staged.append(transaction)
                await self._tell(transaction, serial)
        except BaseException:
            if staged:
                self._doubt(serial)
            raise

    async def _tell(self, transaction: Transaction, serial: int) -> None:
        if self.database.is_sqlite:
            return
        for payload in transaction.payloads(transaction.staged(), self._origin, serial):
            await transaction.connection.execute(sa.select(sa.func.pg_notify(CHANNEL, payload)))

    def _doubt(self, serial: int) -> None:
        """Have it found out what became of a transaction; SQLite says so itself."""
        if not self.database.is_sqlite:
            self.doubted.add(serial)
            self.must_read_all = True
            self.wake.set()

    async def learn_node(self, key: NodePublic) -> None:
        """Take over a node that another server may have let in before its message came here."""
        if self.database.is_sqlite or self.tailnet.node_by_key(key) is not None:
            return
        async with self.database.reading() as connection:
            node = await queries.node_by_key(connection, key)
        if node is not None:
            self.tailnet.put_node(node)
            self.announce(Change(nodes=frozenset({node.id})))
