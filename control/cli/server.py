"""Commands that run without a server, and the one that is the server."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from typing import TYPE_CHECKING, Any, Final

import structlog

from control.app import load_control_key, running_server
from control.config import load_config
from control.errors import InvalidRequestError
from control.keys import MachinePrivate

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

    from control.app import ControlServer
    from control.cli.client import ApiClient
    from control.cli.output import Output
    from control.config import Log

__all__ = ["configtest", "generate_private_key", "initialise", "serve"]

_TEMPLATE: Final = """\
# A trial server on this machine. Every key: docs/protocols/ts2021.md and `control/config.py`.
server_url: http://127.0.0.1:8080
listen_addr: 127.0.0.1:8080
unix_socket: {directory}/control.sock
database: sqlite:///{directory}/control.db
noise:
  private_key_path: {directory}/noise.key
dns:
  base_domain: tailnet.internal
"""


def serve(config_path: Path | None) -> int:
    """Run the server until SIGINT or SIGTERM; SIGHUP reads the policy file again."""
    config = load_config(config_path)
    configure_logging(config.log)
    asyncio.run(_serve(config_path))
    return 0


async def _serve(config_path: Path | None) -> None:
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    reload = asyncio.Event()
    loop.add_signal_handler(signal.SIGHUP, reload.set)
    async with running_server(load_config(config_path)) as server, asyncio.TaskGroup() as tasks:
        reloading = tasks.create_task(_reload_on(reload, server), name="reload")
        print(f"postern control: ready on port {server.port}", file=sys.stderr, flush=True)
        await stop.wait()
        reloading.cancel()


async def _reload_on(reload: asyncio.Event, server: ControlServer) -> None:
    while True:
        await reload.wait()
        reload.clear()
        await server.keeper.reload_file()


def configure_logging(log: Log) -> None:
    """Send structured logs to standard error."""
    renderer: Any = (
        structlog.processors.JSONRenderer()
        if log.format == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, log.level.upper())),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


def configtest(options: argparse.Namespace, _client: ApiClient, output: Output) -> None:
    """Read the configuration and the control key, and say that they are good."""
    config = load_config(options.config)
    if config.noise.private_key_path.exists():
        try:
            load_control_key(config.noise.private_key_path)
        except ValueError as error:
            raise InvalidRequestError(f"{config.noise.private_key_path}: {error}") from None
    output.say({"ok": True}, "the configuration is good")


def generate_private_key(_options: argparse.Namespace, _client: ApiClient, output: Output) -> None:
    """Print a new control key."""
    text = MachinePrivate.generate(os.urandom).to_secret_text()
    output.say({"privateKey": text}, text)


def initialise(options: argparse.Namespace, _client: ApiClient, output: Output) -> None:
    """Write a configuration for a trial; an existing one stays."""
    directory: Path = options.directory.resolve()
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / "control.yaml"
    try:
        with path.open("x") as file:
            file.write(_TEMPLATE.format(directory=directory))
    except FileExistsError:
        raise InvalidRequestError(f"{path} is there already; delete it or use it") from None
    output.say({"config": str(path)}, f"wrote {path}; now: postern control serve -c {path}")
