"""Servers on one PostgreSQL: what one of them changes, the others take over.

Each listens on a channel. A message names what changed, never how: the listener reads the rows
itself, so a lost or repeated message does no harm beyond its own delay. Who is connected travels
in messages of its own, since no row says it. After every loss of the connection to PostgreSQL all
rows are read, and servers tell one another everything anew.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from typing import TYPE_CHECKING, Any, Final

import asyncpg
import sqlalchemy as sa
import structlog

from control.registry.ledger import CHANNEL, Change
from control.registry.liveness import BEAT_S, Liveness
from control.store import queries

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from control.registry.ledger import Ledger
    from control.registry.presence import Presence
    from control.registry.reports import Reports
    from control.store.records import NodeRecord, UserRecord

__all__ = ["Neighbours"]

_RETRY_S: Final = 1.0
_CONNECT_S: Final = 10.0
_MOST_IN_A_MESSAGE: Final = 300
EVERYBODY: Final = "*"
"""In place of a server's name: every one is meant."""
_log = structlog.get_logger("control.neighbours")


class Neighbours:
    """Follows the changes of other servers until cancelled."""

    def __init__(
        self,
        ledger: Ledger,
        *,
        origin: str,
        on_policy: Callable[[], Awaitable[None]],
        on_foreign_nodes: Callable[[set[int]], None],
        presence: Presence,
        reports: Reports,
    ) -> None:
        self._ledger = ledger
        self._origin = origin
        self._on_policy = on_policy
        self._on_foreign_nodes = on_foreign_nodes
        self._presence = presence
        self._reports = reports
        self._liveness = Liveness()
        self._pending: deque[dict[str, Any]] = deque()
        self._asks: set[str] = set()
        self._must_list = False
        # What is to be told wakes the same loop as what was heard.
        self._wake = ledger.wake

    async def run(self) -> None:
        """Listen, and listen again after every loss of the connection."""
        while True:
            try:
                await self._listen()
                _log.warning("the connection to PostgreSQL was lost")
            except (
                OSError,
                asyncpg.PostgresError,
                asyncpg.InterfaceError,
                sa.exc.SQLAlchemyError,
            ) as error:
                _log.warning(
                    "no word from other servers", reason=str(error) or type(error).__name__
                )
            except Exception:  # noqa: BLE001  a server that is deaf must at least try again
                _log.exception("following other servers failed; beginning anew")
            await asyncio.sleep(_RETRY_S)

    async def _listen(self) -> None:
        # What was heard on an older connection is in what is read now.
        self._pending.clear()
        connection = await self._ledger.database.dial()
        try:
            connection.add_termination_listener(lambda _: self._wake.set())
            await connection.add_listener(CHANNEL, self._hear)
            # What was said while nobody listened is lost: read and ask for everything once.
            await self._read_all_once()
            self._asks, self._must_list = {EVERYBODY}, True
            await self._follow(connection)
        finally:
            # Closing it in order would wait for an answer, which may be what it failed for.
            connection.terminate()

    async def _follow(self, connection: asyncpg.Connection[Any]) -> None:
        loop = asyncio.get_running_loop()
        self._liveness.restart(loop.time())
        beat_at = loop.time()
        while not connection.is_closed():
            self._wake.clear()
            await self._tell(connection)
            if loop.time() >= beat_at:
                # Asks the database too, so that a connection that died unseen is found.
                await self._send(connection, {})
                beat_at = loop.time() + BEAT_S
            if self._ledger.must_read_all:
                await self._read_all_once()
            # A long line must not make others take this server for dead.
            while self._pending and loop.time() < beat_at:
                await self.take_over(self._pending.popleft())
            if self._pending:
                continue
            # Only now: a word that was heard may be in the line.
            self.give_up(loop.time())
            if not (self._wake.is_set() or self._must_list):
                await _set_until(self._wake, beat_at)

    async def _read_all_once(self) -> None:
        """Take over every row; what fails leads to a new connection, and to reading again."""
        self._ledger.must_read_all = False
        await self.read_all()

    async def _tell(self, connection: asyncpg.Connection[Any]) -> None:
        """Tell who is connected here: everybody where that was asked for, else what is new."""
        if self._must_list:
            self._must_list, asks, self._asks = False, sorted(self._asks), set()
            self._ledger.untold.clear()
            nodes = self._presence.connected_nodes
            async with connection.transaction():
                for at in range(0, len(nodes) or 1, _MOST_IN_A_MESSAGE):
                    is_last = at + _MOST_IN_A_MESSAGE >= len(nodes)
                    listed = {"held": nodes[at : at + _MOST_IN_A_MESSAGE], "is_last": is_last}
                    await self._send(connection, {**listed, "asks": asks if at == 0 else []})
            return
        untold = self._ledger.untold
        while untold:
            part = dict(list(untold.items())[:_MOST_IN_A_MESSAGE])
            await self._send(connection, {"online": part})
            for node_id, is_online in part.items():
                # It may have come or gone again meanwhile.
                if untold.get(node_id) == is_online:
                    del untold[node_id]

    async def _send(self, connection: asyncpg.Connection[Any], message: dict[str, Any]) -> None:
        """Send a message; an empty one says only that this server is there."""
        full = {"origin": self._origin, "nodes": [], "users": [], "policy": False, **message}
        await connection.execute("SELECT pg_notify($1, $2)", CHANNEL, json.dumps(full))

    def _hear(self, _connection: object, _pid: int, _channel: str, payload: object) -> None:
        message = json.loads(str(payload))
        is_own = message.get("origin") == self._origin
        if not is_own or message.get("serial") in self._ledger.doubted:
            self._pending.append(message)
            self._wake.set()

    def give_up(self, now: float) -> None:
        """Take nodes for offline whose server has been silent for too long."""
        lost = {n for n in self._liveness.silenced(now) if not self._presence.is_connected(n)}
        gone = {n for n in lost if self._ledger.tailnet.set_online(n, is_online=False)}
        if gone:
            _log.warning("another server is silent; its nodes are offline", nodes=len(gone))
            self._ledger.announce(Change(nodes=frozenset(gone)))

    def holds(self, node_id: int) -> bool:
        """Return whether a node is connected to another server."""
        return self._liveness.is_held(node_id)

    def _is_held(self, node_id: int) -> bool:
        return self._presence.is_connected(node_id) or self._liveness.is_held(node_id)

    async def catch_up(self) -> None:
        """Take over what other servers wrote and did not tell yet, if there can be any."""
        if not self._ledger.database.is_sqlite:
            await self.read_all()

    async def read_all(self) -> None:
        """Take over every row."""
        tailnet = self._ledger.tailnet
        nodes_before = {node.id: node for node in tailnet}
        users_before = {user.id: user for user in tailnet.users}
        async with self._ledger.database.reading() as connection:
            users = {user.id: user for user in await queries.users(connection)}
            nodes = {node.id: node for node in await queries.nodes(connection)}
        rows = {number: self._reports.upon(node) for number, node in nodes.items()}
        new_users, new_nodes = _differing(users_before, users), _differing(nodes_before, rows)
        # What was changed here while the rows were read is newer than they are: read again.
        again_users = {n for n in new_users if tailnet.user(n) is not users_before.get(n)}
        for number in new_users - again_users:
            self._put_user(number, users.get(number))
        again = {n for n in new_nodes if tailnet.node(n) is not nodes_before.get(n)}
        for number in new_nodes - again:
            self._put(number, rows.get(number))
        await self._read_users(again_users)
        await self._read_nodes(again)
        self._on_foreign_nodes(new_nodes)
        await self._on_policy()
        self._ledger.announce(Change(nodes=frozenset(new_nodes), users=frozenset(new_users)))

    async def take_over(self, message: dict[str, Any]) -> None:
        """Read the rows that a message names, and tell listeners."""
        origin, asked = str(message["origin"]), set(message.get("asks", ()))
        if origin != self._origin and self._liveness.heard(
            origin, asyncio.get_running_loop().time()
        ):
            self._asks.add(origin)
            self._must_list = True
        if asked & {self._origin, EVERYBODY}:
            self._must_list = True
        node_ids, user_ids = set(message["nodes"]), set(message["users"])
        if user_ids or message.get("settings"):
            await self._read_users(user_ids)
        await self._read_nodes(node_ids)
        node_ids |= self._take_presence(origin, message)
        self._on_foreign_nodes(node_ids)
        if message["policy"]:
            await self._on_policy()
        if node_ids or user_ids or message["policy"]:
            self._ledger.announce(Change(nodes=frozenset(node_ids), users=frozenset(user_ids)))

    async def _read_users(self, user_ids: set[int]) -> None:
        """Take over the settings and the rows of some users."""
        tailnet, unread, is_read = self._ledger.tailnet, set(user_ids), False
        while unread or not is_read:
            async with self._ledger.database.reading() as connection:
                held = tailnet.settings
                settings = await queries.settings(connection)
                # A change made here meanwhile is newer than the row: look again.
                if tailnet.settings is held:
                    tailnet.settings, is_read = settings, True
                for user_id in sorted(unread):
                    before = tailnet.user(user_id)
                    row = await queries.user(connection, user_id)
                    if tailnet.user(user_id) is before:
                        self._put_user(user_id, row)
                        unread.discard(user_id)

    async def _read_nodes(self, node_ids: set[int]) -> None:
        """Take over the rows of some nodes."""
        tailnet, unread = self._ledger.tailnet, set(node_ids)
        while unread:
            async with self._ledger.database.reading() as connection:
                for node_id in sorted(unread):
                    before = tailnet.node(node_id)
                    row = await queries.node(connection, node_id)
                    # A change made here meanwhile is newer than the row: look again.
                    if tailnet.node(node_id) is before:
                        self._put(node_id, row)
                        unread.discard(node_id)

    def _put_user(self, user_id: int, row: UserRecord | None) -> None:
        if row is None:
            self._ledger.tailnet.drop_user(user_id)
        else:
            self._ledger.tailnet.put_user(row)

    def _put(self, node_id: int, row: NodeRecord | None) -> None:
        if row is None:
            self._ledger.tailnet.drop_node(node_id)
        else:
            self._ledger.tailnet.put_node(self._reports.upon(row))

    def _take_presence(self, origin: str, message: dict[str, Any]) -> set[int]:
        """Note who came to another server or left it; return whose state that changed."""
        said = {int(number): bool(is_in) for number, is_in in message.get("online", {}).items()}
        if "held" in message:
            said.update(dict.fromkeys(message["held"], True))
            gone = self._liveness.list(origin, message["held"], is_last=message["is_last"])
            said.update(dict.fromkeys(gone, False))
        changed = set()
        for node_id, is_online in said.items():
            self._liveness.put(origin, node_id, is_online=is_online)
            # A node that moved may have left there after it came here.
            is_there = is_online or self._is_held(node_id)
            if self._ledger.tailnet.set_online(node_id, is_online=is_there):
                changed.add(node_id)
        return changed


def _differing(before: Mapping[int, Any], now: Mapping[int, Any]) -> set[int]:
    return {number for number in {*before, *now} if before.get(number) != now.get(number)}


async def _set_until(event: asyncio.Event, at: float) -> None:
    """Wait until an event is set or a time of the loop's clock is over."""
    try:
        async with asyncio.timeout_at(at):
            await event.wait()
    except TimeoutError:
        return
