"""PostgreSQL goes away and comes back under two servers: both recover, nothing is lost."""

from __future__ import annotations

import asyncio
import random
import time
from typing import TYPE_CHECKING

import pytest

from tests.support.control_load import Load, Promises, issue_keys, resume
from tests.support.control_server import TestNode, control_config, running_control
from tests.support.postgres import find_postgres, postgres_server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.control_server import Control, Stream
    from tests.support.postgres import PostgresServer

KEYS_A_ROUND = 6
RECOVERY_S = 60.0


@pytest.fixture
def postgres() -> Iterator[PostgresServer]:
    if find_postgres() is None:
        pytest.skip("no PostgreSQL server is installed (Debian: postgresql)")
    with postgres_server() as server:
        yield server


def policy(port: int) -> str:
    return (
        '{"tagOwners": {"tag:watch": [], "tag:x": [], "tag:y": [], "tag:z": []},'
        f' "acls": [{{"action": "accept", "src": ["*"], "dst": ["tag:watch:{port}"]}}]}}'
    )


async def until_set(control: Control, text: str) -> None:
    """Set a policy as soon as the database takes it."""
    async with asyncio.timeout(RECOVERY_S):
        while True:
            try:
                await control.server.keeper.set(text, "test")
            except Exception:  # noqa: BLE001  whatever a database says that is not there yet
                await asyncio.sleep(0.05)
            else:
                return


async def reaches(control: Control, stream: Stream, port: int) -> None:
    """Set a policy at one server; a node at the other has to hold it."""
    await until_set(control, policy(port))
    await stream.until(
        lambda n: n.filters["base"] and n.filters["base"][0].dst_ports[0].ports.first == port
    )


async def restarted(
    postgres: PostgresServer,
    servers: list[Control],
    promises: Promises,
    chance: random.Random,
    mode: str,
) -> None:
    """Load both servers and take the database from them in the middle of it."""
    load = Load(servers, promises)
    keys = await issue_keys(servers[0].server.config.database, KEYS_A_ROUND)
    running = asyncio.create_task(load.run(keys))
    await load.acknowledged(chance.randint(1, KEYS_A_ROUND), running)
    await asyncio.to_thread(postgres.stop, mode=mode)
    await asyncio.sleep(chance.random() / 2)
    await asyncio.to_thread(postgres.start)
    # Changes have to be taken again while the same servers run on.
    await load.acknowledged(3, running)
    load.may_end.set()
    await running


@pytest.mark.parametrize(
    "rounds", [2, pytest.param(20, marks=pytest.mark.soak)], ids=["few", "many"]
)
async def test_servers_outlive_their_database(
    postgres: PostgresServer, tmp_path: Path, rounds: int, capsys: pytest.CaptureFixture[str]
) -> None:
    chance = random.Random(11)  # noqa: S311  moments, no secrets
    url = postgres.url()
    limits = {"register_limit": {"burst": 10**6, "per_second": 10**6}}
    here = control_config(tmp_path, database=url, **limits)
    there = control_config(tmp_path, database=url, unix_socket=str(tmp_path / "two.sock"), **limits)
    nodes = TestNode("watch-one"), TestNode("watch-two")
    promises, slowest = Promises(), 0.0
    async with running_control(here) as one, running_control(there) as two:
        keys = [await one.add_auth_key(tags=("tag:watch",)) for _ in nodes]
        async with nodes[0].connected(one) as first, nodes[1].connected(two) as second:
            await nodes[0].join(first, keys[0])
            await nodes[1].join(second, keys[1])
            streams = nodes[0].stream(first), nodes[1].stream(second)
            for stream in streams:
                await stream.next()
            for at in range(rounds):
                mode = "immediate" if at % 2 == 0 else "fast"
                await restarted(postgres, [one, two], promises, chance, mode)
                await promises.check(url)
                began = time.monotonic()
                await reaches(one, streams[1], 1000 + at)
                await reaches(two, streams[0], 2000 + at)
                slowest = max(slowest, time.monotonic() - began)
        for node in promises.sample(chance, 4):
            await resume(one, node)
            await resume(two, node)
    with capsys.disabled():
        print(  # noqa: T201  the measured values are what a soak is run for
            f"\ndatabase restarts {rounds}, acknowledged changes {promises.count} "
            f"({promises.summary}), slowest word from one server to the other {slowest:.1f} s"
        )
