"""When sessions with the control server begin and end, and what becomes of one that breaks."""

from __future__ import annotations

import asyncio
import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from control.keys import NodePrivate
from node.agent.agent import Agent
from node.agent.control_session import ControlSession
from node.agent.options import AgentOptions
from node.state.directory import StateDirectory
from relay.server.tls import self_signed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

NOWHERE = "https://127.0.0.1:1"


@pytest.fixture
async def agent(tmp_path: Path) -> AsyncIterator[Agent]:
    directory = StateDirectory(tmp_path / "state")
    directory.create()
    agent = Agent(directory, AgentOptions(resolv_conf=tmp_path / "resolv.conf"))
    yield agent
    await agent.down()


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> list[ControlSession]:
    """Sessions in the order in which they ran."""
    ran: list[ControlSession] = []

    async def run(session: ControlSession) -> None:
        ran.append(session)
        await asyncio.Event().wait()

    monkeypatch.setattr(ControlSession, "run", run)
    return ran


async def until(condition: Callable[[], object]) -> None:
    # The loop's other tasks decide when; each turn lets them go on.
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110  see above
            await asyncio.sleep(0)


async def test_setting_of_a_node_begins_no_session(
    agent: Agent, begun: list[ControlSession]
) -> None:
    await agent.up({"login_server": NOWHERE})
    agent.on_registered(NodePrivate.generate(os.urandom))
    await until(lambda: begun)
    await agent.up({"shields_up": True})
    await asyncio.sleep(0)
    assert len(begun) == 1


async def test_other_authority_takes_a_session_that_knows_it(
    agent: Agent, begun: list[ControlSession]
) -> None:
    await agent.up({"login_server": NOWHERE})
    agent.on_registered(NodePrivate.generate(os.urandom))
    await until(lambda: begun)
    certificate, _, _ = self_signed("control.example", datetime.now(UTC))
    await agent.up({"trusted_ca": certificate.decode()})
    await until(lambda: len(begun) == 2)
    first, second = (session.tls for session in begun)
    assert first is not None
    assert second is not None
    assert second.cert_store_stats()["x509"] == first.cert_store_stats()["x509"] + 1


async def test_session_that_breaks_is_said_and_can_be_begun_again(
    agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(_: ControlSession) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(ControlSession, "run", broken)
    await agent.up({"login_server": NOWHERE})
    agent.on_registered(NodePrivate.generate(os.urandom))
    # The session's task ends, then is asked how.
    for _ in range(3):
        await asyncio.sleep(0)
    assert "ZeroDivisionError" in " ".join((await agent.snapshot()).health)
    running = asyncio.Event()

    async def works(_: ControlSession) -> None:
        running.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(ControlSession, "run", works)
    await agent.up({})
    async with asyncio.timeout(10):
        await running.wait()
    await agent.down()
    assert (await agent.snapshot()).health == ()
