"""Runs one agent with its local API until a signal or `POST /stop`."""

from __future__ import annotations

import asyncio
import logging
import signal
from typing import TYPE_CHECKING

from node.agent.agent import Agent
from node.agent.api import AgentApi

if TYPE_CHECKING:
    from collections.abc import Callable

    from node.agent.options import AgentOptions
    from node.state.directory import StateDirectory

__all__ = ["run_agent"]

LOG = logging.getLogger("postern.agent")


async def run_agent(
    directory: StateDirectory, options: AgentOptions, on_ready: Callable[[], None]
) -> None:
    """Run until stopped. Raises StateError or PreferencesError when it cannot begin."""
    directory.create()
    with directory.held():
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        agent = Agent(directory, options)
        runner = await AgentApi(agent, stop).serve(directory.socket)
        try:
            on_ready()
            await agent.run(stop)
        finally:
            await runner.cleanup()
            directory.socket.unlink(missing_ok=True)
