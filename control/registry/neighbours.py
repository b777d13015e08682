"""Servers on one PostgreSQL: what one of them changes, the others take over.

Each listens on a channel. A message names what changed, never how: the listener reads the rows
itself, so a lost or repeated message does no harm beyond its own delay. Who is connected travels
in messages of its own, since no row says it.
"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any, Final

import asyncpg
import structlog

from control.registry.ledger import CHANNEL, Change
from control.store import queries

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from control.registry.ledger import Ledger

__all__ = ["Neighbours"]

_RETRY_S: Final = 1.0
_CHECK_S: Final = 5.0
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
    ) -> None:
        self._ledger = ledger
        self._origin = origin
        self._on_policy = on_policy
        self._on_foreign_nodes = on_foreign_nodes
        self._pending: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    async def run(self) -> None:
        """Listen, and listen again after every loss of the connection."""
        while True:
            try:
                await self._listen()
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                _log.warning("no word from other servers", reason=str(error))
            await asyncio.sleep(_RETRY_S)

    async def _listen(self) -> None:
        url = self._ledger.database.url
        query = dict(url.query)
        connection = await asyncpg.connect(
            user=url.username,
            password=url.password,
            database=url.database,
            host=query.get("host", url.host),
            port=url.port,
        )
        try:
            await connection.add_listener(CHANNEL, self._hear)
            # What was said while nobody listened is lost: read everything once.
            await self.read_all()
            while not connection.is_closed():
                try:
                    async with asyncio.timeout(_CHECK_S):
                        message = await self._pending.get()
                except TimeoutError:
                    await connection.execute("SELECT 1")
                    continue
                await self.take_over(message)
        finally:
            await connection.close(timeout=1)

    def _hear(self, _connection: object, _pid: int, _channel: str, payload: object) -> None:
        message = json.loads(str(payload))
        if message.get("origin") != self._origin:
            self._pending.put_nowait(message)

    async def read_all(self) -> None:
        """Take over every row."""
        async with self._ledger.database.reading() as connection:
            users = await queries.users(connection)
            nodes = await queries.nodes(connection)
        tailnet = self._ledger.tailnet
        gone = {node.id for node in tailnet.nodes} - {node.id for node in nodes}
        news = {node.id for node in nodes if tailnet.node(node.id) != node}
        for user in users:
            tailnet.put_user(user)
        for node in nodes:
            if node.id in news:
                tailnet.put_node(node)
        for node_id in gone:
            tailnet.drop_node(node_id)
        self._on_foreign_nodes(news)
        self._ledger.announce(
            Change(nodes=frozenset(news | gone), users=frozenset(user.id for user in users))
        )

    async def take_over(self, message: dict[str, Any]) -> None:
        """Read the rows that a message names, and tell listeners."""
        node_ids, user_ids = set(message["nodes"]), set(message["users"])
        tailnet = self._ledger.tailnet
        async with self._ledger.database.reading() as connection:
            for user_id in user_ids:
                user = await queries.user(connection, user_id)
                if user is None:
                    tailnet.drop_user(user_id)
                else:
                    tailnet.put_user(user)
            for node_id in node_ids:
                node = await queries.node(connection, node_id)
                if node is None:
                    tailnet.drop_node(node_id)
                else:
                    tailnet.put_node(node)
        for node_id, is_online in message.get("online", {}).items():
            tailnet.set_online(int(node_id), is_online=is_online)
            node_ids.add(int(node_id))
        self._on_foreign_nodes(node_ids)
        if message["policy"]:
            await self._on_policy()
        self._ledger.announce(Change(nodes=frozenset(node_ids), users=frozenset(user_ids)))
