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
import sqlalchemy as sa
import structlog

from control.registry.ledger import CHANNEL, Change
from control.registry.liveness import BEAT_S, Liveness
from control.store import queries

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from control.registry.ledger import Ledger
    from control.registry.presence import Presence

__all__ = ["Neighbours"]

_RETRY_S: Final = 1.0
_MOST_IN_A_MESSAGE: Final = 300
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
    ) -> None:
        self._ledger = ledger
        self._origin = origin
        self._on_policy = on_policy
        self._on_foreign_nodes = on_foreign_nodes
        self._presence = presence
        self._liveness = Liveness()
        self._pending: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    async def run(self) -> None:
        """Listen, and listen again after every loss of the connection."""
        while True:
            try:
                await self._listen()
            except (
                OSError,
                asyncpg.PostgresError,
                asyncpg.InterfaceError,
                sa.exc.SQLAlchemyError,
            ) as error:
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
            loop = asyncio.get_running_loop()
            self._liveness.restart(loop.time())
            beat_at = loop.time()
            while not connection.is_closed():
                if loop.time() >= beat_at:
                    # Asks the database too, so that a connection that died unseen is found.
                    await connection.execute("SELECT pg_notify($1, $2)", CHANNEL, self._beat())
                    self.give_up(loop.time())
                    beat_at = loop.time() + BEAT_S
                try:
                    async with asyncio.timeout_at(beat_at):
                        message = await self._pending.get()
                except TimeoutError:
                    continue
                await self.take_over(message)
        finally:
            await connection.close(timeout=1)

    def _hear(self, _connection: object, _pid: int, _channel: str, payload: object) -> None:
        message = json.loads(str(payload))
        if message.get("origin") != self._origin:
            self._pending.put_nowait(message)

    def _beat(self) -> str:
        """Return a message that says only that this server is there."""
        return json.dumps({"origin": self._origin, "nodes": [], "users": [], "policy": False})

    def give_up(self, now: float) -> None:
        """Take nodes for offline whose server has been silent for too long."""
        tailnet = self._ledger.tailnet
        lost = {n for n in self._liveness.silenced(now) if not self._presence.is_connected(n)}
        gone = {node_id for node_id in lost if tailnet.set_online(node_id, is_online=False)}
        if gone:
            _log.warning("another server is silent; its nodes are offline", nodes=len(gone))
            self._ledger.announce(Change(nodes=frozenset(gone)))

    async def _tell_online(self, *, asks: str = "") -> None:
        """Tell who is connected here, which no row says, and ask a server for the same."""
        nodes = self._presence.connected_nodes
        for at in range(0, len(nodes) or 1, _MOST_IN_A_MESSAGE):
            part = nodes[at : at + _MOST_IN_A_MESSAGE]
            online = {str(node_id): True for node_id in part}
            await self._ledger.tell_neighbours({"online": online, "asks": asks if at == 0 else ""})

    def _is_held(self, node_id: int) -> bool:
        return self._presence.is_connected(node_id) or self._liveness.is_held(node_id)

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
        origin = str(message["origin"])
        if self._liveness.heard(origin, asyncio.get_running_loop().time()):
            await self._tell_online(asks=origin)
        elif message.get("asks") == self._origin:
            await self._tell_online()
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
            self._liveness.put(origin, int(node_id), is_online=is_online)
            # A node that moved may have left there after it came here.
            if is_online or not self._is_held(int(node_id)):
                tailnet.set_online(int(node_id), is_online=is_online)
                node_ids.add(int(node_id))
        self._on_foreign_nodes(node_ids)
        if message["policy"]:
            await self._on_policy()
        if node_ids or user_ids or message["policy"]:
            self._ledger.announce(Change(nodes=frozenset(node_ids), users=frozenset(user_ids)))
