"""What the local API answers when the agent could not do what was asked."""

from __future__ import annotations

import asyncio
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from node.agent.agent import Agent
from node.agent.api import AgentApi
from node.agent.options import AgentOptions
from node.localapi.client import LocalApiError, ask_at
from node.state.directory import StateDirectory, StateError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def full_disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    def refuse(_: StateDirectory, name: str, __: object) -> None:
        raise StateError(f"{name}: {os.strerror(28)}")

    with monkeypatch.context() as patched:
        patched.setattr(StateDirectory, "write", refuse)
        yield


async def test_disk_that_is_full_is_said_to_whoever_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = StateDirectory(tmp_path / "state")
    directory.create()
    agent = Agent(directory, AgentOptions())
    runner = await AgentApi(agent, asyncio.Event()).serve(directory.socket)
    try:
        with full_disk(monkeypatch), pytest.raises(LocalApiError, match="No space left"):
            await asyncio.to_thread(ask_at, directory.socket, "agent", "POST", "/down")
    finally:
        await runner.cleanup()
    assert not (tmp_path / "state" / "agent.json").exists()
