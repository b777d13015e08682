"""When what is wanted is applied, and what is noticed meanwhile."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from node.agent.applier import Applier
from node.agent.attachment import Attachment
from node.agent.memory import Memory
from node.agent.options import AgentOptions
from node.agent.standing import Standing
from node.state.directory import StateDirectory
from tests.support.netmaps import netmap

if TYPE_CHECKING:
    from pathlib import Path


async def turns() -> None:
    """Let the loop's other tasks go on until they wait for something else."""
    for _ in range(9):
        await asyncio.sleep(0)


@pytest.mark.parametrize("is_taken_away", [False, True])
async def test_netmap_that_is_taken_away_is_not_applied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_taken_away: bool
) -> None:
    opened: list[object] = []

    async def refuse(identity: object, *_: object, **__: Any) -> Attachment:
        opened.append(identity)
        raise OSError("not here")

    monkeypatch.setattr(Attachment, "open", refuse)
    directory = StateDirectory(tmp_path / "state")
    directory.create()
    memory = Memory(directory)
    memory.prefer(memory.preferences.changed({"wants_running": True}))
    memory.take_netmap(netmap())
    applier = Applier(
        memory,
        Standing(),
        AgentOptions(),
        directory,
        on_news=lambda: None,
        on_link_change=lambda: None,
    )
    async with applier._attaching:
        # As while a tunnel is taken down whose node key is about to be replaced.
        applier.refresh()
        running = asyncio.create_task(applier.run())
        await turns()
        if is_taken_away:
            memory.netmap = None
    await turns()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert bool(opened) != is_taken_away


async def test_part_that_must_not_stop_is_noticed() -> None:
    async def measure() -> None:
        raise ZeroDivisionError

    attachment = Attachment.__new__(Attachment)
    attachment.tunnel = SimpleNamespace(loop=SimpleNamespace(failure=None))  # type: ignore[assignment]
    attachment._measuring = asyncio.create_task(measure())
    attachment.check()
    await asyncio.wait({attachment._measuring})
    with pytest.raises(RuntimeError) as caught:
        attachment.check()
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
