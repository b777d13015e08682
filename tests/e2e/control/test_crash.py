"""kill -9 under load: nothing acknowledged is lost, nothing is given out twice."""

from __future__ import annotations

import asyncio
import os
import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from control.store import queries, secrets_at_rest
from control.store.database import Database
from control.store.secrets_at_rest import Secret, SecretKind
from node.session.driver import ControlClient, ControlLostError, fetch_server_key
from node.session.login import Registered
from tests.support.control_process import ControlProcess
from tests.support.control_server import Stream, TestNode

if TYPE_CHECKING:
    from pathlib import Path

    from control.store.records import NodeRecord

KEYS_A_ROUND = 20


async def issue_keys(database_url: str) -> list[str]:
    """Put single-use keys into the database."""
    database = await Database.open(database_url)
    now, texts = datetime.now(UTC), []
    async with database.writing() as connection:
        for _ in range(KEYS_A_ROUND):
            secret = Secret.generate(SecretKind.AUTH, os.urandom)
            await secrets_at_rest.add_auth_key(
                connection,
                secret,
                user_id=None,
                is_reusable=False,
                is_ephemeral=False,
                tags=("tag:x",),
                expires_at=now + timedelta(hours=1),
                now=now,
            )
            texts.append(secret.to_secret_text())
    await database.close()
    return texts


async def stored_nodes(database_url: str) -> list[NodeRecord]:
    database = await Database.open(database_url)
    async with database.reading() as connection:
        nodes = await queries.nodes(connection)
    await database.close()
    return nodes


class Load:
    """Two nodes for each key; notes who was told that they are in."""

    def __init__(self, server: ControlProcess) -> None:
        self._server = server
        self.acknowledged: list[TestNode] = []
        self.first = asyncio.Event()

    async def join(self, node: TestNode, key: str) -> None:
        try:
            server_key = await fetch_server_key(self._server.url)
            async with ControlClient.connect(
                self._server.url, machine=node.machine, server=server_key, entropy=os.urandom
            ) as client:
                if isinstance(await node.join(client, key), Registered):
                    self.acknowledged.append(node)
                    self.first.set()
        except ControlLostError:
            return

    async def run(self, keys: list[str]) -> None:
        await asyncio.gather(
            *(self.join(TestNode(f"n{n}"), key) for n, key in enumerate(keys) for _ in range(2))
        )


async def crash(server: ControlProcess, delay_s: float) -> list[TestNode]:
    """Run the load, kill the server in the middle of it, and return who was let in."""
    keys = await issue_keys(server.database)
    await server.start()
    load = Load(server)
    running = asyncio.create_task(load.run(keys))
    waiting = asyncio.create_task(load.first.wait())
    await asyncio.wait({running, waiting}, return_when=asyncio.FIRST_COMPLETED)
    # The moment of the blow is what varies between rounds; nothing waits for it.
    await asyncio.sleep(delay_s)
    await server.kill()
    await running
    waiting.cancel()
    return load.acknowledged


async def resume(server: ControlProcess, node: TestNode) -> Stream:
    """Poll as the node without logging in."""
    server_key = await fetch_server_key(server.url)
    async with ControlClient.connect(
        server.url, machine=node.machine, server=server_key, entropy=os.urandom
    ) as client:
        stream = node.stream(client)
        await stream.next()
        return stream


@pytest.mark.parametrize(
    "rounds", [2, pytest.param(100, marks=pytest.mark.soak)], ids=["few", "many"]
)
async def test_killed_server_keeps_its_word(tmp_path: Path, rounds: int) -> None:
    chance = random.Random(7)  # noqa: S311  moments, no secrets
    server = ControlProcess(tmp_path, f"sqlite:///{tmp_path / 'control.db'}")
    acknowledged: list[TestNode] = []
    for _ in range(rounds):
        acknowledged += await crash(server, chance.random() / 5)
        nodes = await stored_nodes(server.database)
        stored = {node.node_key for node in nodes}
        assert {node.key.public for node in acknowledged} <= stored
        for shared in (
            Counter(node.ipv4 for node in nodes),
            Counter(node.ipv6 for node in nodes),
            Counter(node.auth_key_id for node in nodes),
        ):
            assert set(shared.values()) == {1}
    await server.start()
    try:
        for node in acknowledged[-3:]:
            assert (await resume(server, node)).held.self_node.key == node.key.public
    finally:
        assert await server.stop() == 0
