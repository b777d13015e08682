"""A policy kept in a file: SIGHUP reads it again, and a broken one changes nothing."""

from __future__ import annotations

import argparse
import asyncio
import signal
from typing import TYPE_CHECKING, Any

import pytest

from control.cli.client import ApiClient
from tests.support.control_process import ControlProcess

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

FIRST = '{"acls": []}'
SECOND = '{"acls": [{"action": "accept", "src": ["*"], "dst": ["*:22"]}]}'


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[ControlProcess]:
    policy = tmp_path / "policy.hujson"
    policy.write_text(FIRST)
    process = ControlProcess(
        tmp_path,
        f"sqlite:///{tmp_path / 'control.db'}",
        policy={"mode": "file", "path": str(policy)},
    )
    await process.start()
    yield process
    await process.stop()


async def in_force(server: ControlProcess) -> Any:
    options = argparse.Namespace(address=None, socket=server.socket, config=None)

    def ask() -> Any:
        with ApiClient.of_options(options) as client:
            return client.call("GET", ("policy",))["policy"]

    return await asyncio.to_thread(ask)


async def test_signal_puts_the_changed_file_in_force(
    server: ControlProcess, tmp_path: Path
) -> None:
    assert await in_force(server) == FIRST
    (tmp_path / "policy.hujson").write_text(SECOND)
    server.signal(signal.SIGHUP)
    async with asyncio.timeout(30):
        await server.heard(b"policy file read again")
    assert await in_force(server) == SECOND


@pytest.mark.parametrize("text", ["{", '{"acls": [{"action": "deny"}]}', None])
async def test_broken_file_leaves_the_policy_in_force(
    server: ControlProcess, tmp_path: Path, text: str | None
) -> None:
    path = tmp_path / "policy.hujson"
    if text is None:
        path.unlink()
    else:
        path.write_text(text)
    server.signal(signal.SIGHUP)
    async with asyncio.timeout(30):
        await server.heard(b"policy file refused")
    assert await in_force(server) == FIRST
