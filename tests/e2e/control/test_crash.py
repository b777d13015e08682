"""kill -9 under load: nothing acknowledged is lost, nothing is given out twice."""

from __future__ import annotations

import asyncio
import random
import time
from typing import TYPE_CHECKING

import pytest

from tests.support.control_load import Load, Promises, issue_keys, resume
from tests.support.control_process import ControlProcess, ForkedControl

if TYPE_CHECKING:
    from pathlib import Path

KEYS_A_ROUND = 8
RESTART_S = 60.0
"""Bar of a restart, generous for a machine that does other things too."""


async def killed(server: ControlProcess, promises: Promises, chance: random.Random) -> float:
    """Start, resume, load and kill; return how long the start took."""
    keys = await issue_keys(server.database, KEYS_A_ROUND)
    began = time.monotonic()
    await server.start()
    restart_s = time.monotonic() - began
    for node in promises.sample(chance, 2):
        await resume(server, node)
    load = Load([server], promises)
    running = asyncio.create_task(load.run(keys))
    await load.acknowledged(chance.randint(1, 3 * KEYS_A_ROUND), running)
    # The moment of the blow is what varies between rounds; nothing waits for it.
    await asyncio.sleep(chance.random() / 50)
    await server.kill()
    load.may_end.set()
    await running
    await promises.check(server.database)
    return restart_s


@pytest.mark.parametrize(
    ("kind", "rounds"),
    [(ControlProcess, 3), pytest.param(ForkedControl, 100, marks=pytest.mark.soak)],
    ids=["few", "many"],
)
async def test_killed_server_keeps_its_word(
    tmp_path: Path, kind: type[ControlProcess], rounds: int, capsys: pytest.CaptureFixture[str]
) -> None:
    chance = random.Random(7)  # noqa: S311  moments, no secrets
    server = kind(tmp_path, f"sqlite:///{tmp_path / 'control.db'}")
    promises = Promises()
    # The first start makes the database and is no restart.
    _, *restarts = [await killed(server, promises, chance) for _ in range(rounds)]
    await server.start()
    try:
        for node in promises.sample(chance, 3):
            await resume(server, node)
    finally:
        assert await server.stop() == 0
    with capsys.disabled():
        print(  # noqa: T201  the measured values are what a soak is run for
            f"\nkills {rounds}, acknowledged changes {promises.count} ({promises.summary}), "
            f"slowest restart {max(restarts):.1f} s"
        )
    assert max(restarts) < RESTART_S
