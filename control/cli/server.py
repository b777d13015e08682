"""Commands that run without a server, and the one that is the server."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, TextIO

import structlog

from control.app import running_server
from control.cli.output import Output
from control.cli.trial_certificates import make_trial_certificates
from control.config import load_config
from control.control_key import load_control_key
from control.derp_sources import DerpSources
from control.errors import InvalidRequestError
from control.keys import MachinePrivate
from control.store.database import normalised_url

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

    from control.app import ControlServer
    from control.cli.client import ApiClient
    from control.config import Log

__all__ = ["configtest", "dump_config", "generate_private_key", "initialise", "serve"]

_TEMPLATE: Final = """\
# A trial server. Every key is described in docs/configuration/README.md.
server_url: {url}
listen_addr: "{listen}"
unix_socket: {directory}/control.sock
database: sqlite:///{directory}/control.db
noise:
  private_key_path: {directory}/noise.key
dns:
  base_domain: tailnet.internal
"""
_TLS_TEMPLATE: Final = """\
tls:
  cert_path: {directory}/server.pem
  key_path: {directory}/server.key
# Carries what cannot go direct, on the port above, with STUN beside it.
derp:
  server:
    enabled: true
    private_key_path: {directory}/derp.key
    stun_listen_addr: "{stun}"
"""
_LOOPBACK: Final = ("127.0.0.1", "::1", "localhost")


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
    """Read the configuration and the files that it names, and say that they are good."""
    config = load_config(options.config)
    DerpSources(config.derp).read_files()
    if config.noise.private_key_path.exists():
        try:
            load_control_key(config.noise.private_key_path)
        except ValueError as error:
            raise InvalidRequestError(f"{config.noise.private_key_path}: {error}") from None
    output.say({"ok": True}, "the configuration is good")


def dump_config(options: argparse.Namespace, _client: ApiClient, output: Output) -> None:
    """Print the configuration as it is in force, with defaults and without secrets."""
    values = load_config(options.config).model_dump(mode="json", by_alias=True)
    values["database"] = normalised_url(values["database"]).render_as_string(hide_password=True)
    if output.is_for_people:
        Output("yaml").print_value(values)
    else:
        output.print_value(values)


def generate_private_key(_options: argparse.Namespace, _client: ApiClient, output: Output) -> None:
    """Print a new control key."""
    text = MachinePrivate.generate(os.urandom).to_secret_text()
    output.say({"privateKey": text}, text)


def initialise(options: argparse.Namespace, _client: ApiClient, output: Output) -> None:
    """Write a configuration for a trial, with certificates; existing files stay."""
    directory: Path = options.directory.resolve()
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / "control.yaml"
    hosts = list(dict.fromkeys((*options.host, *_LOOPBACK)))
    # Who names a host means others to reach it.
    address = "0.0.0.0" if options.host else _LOOPBACK[0]  # noqa: S104  asked for
    listen = f"{address}:{8080 if options.plain else 8443}"
    values = {"directory": directory, "listen": listen, "stun": f"{address}:3478"}
    try:
        # Opened before anything else, so that a second run touches nothing.
        with _made_for_its_owner_alone(path) as file:
            if options.plain:
                file.write(_TEMPLATE.format(url=f"http://{_authority(hosts[0])}:8080", **values))
                said: dict[str, str] = {}
            else:
                said = _make_certificates(directory, hosts)
                file.write(_TEMPLATE.format(url=f"https://{_authority(hosts[0])}:8443", **values))
                file.write(_TLS_TEMPLATE.format(**values))
    except FileExistsError as error:
        raise InvalidRequestError(
            f"{error.filename} is there already; delete it or use it"
        ) from None
    except InvalidRequestError:
        path.unlink()
        raise
    lines = [f"wrote {path}; now: postern control serve -c {path}"]
    if said:
        lines.append(f"clients have to trust {said['authority']}, SHA-256 fingerprint:")
        lines.append(said["fingerprint"])
    output.say({"config": str(path), **said}, "\n".join(lines))


def _made_for_its_owner_alone(path: Path) -> TextIO:
    # The URL of a database, with its password, may come to be in it.
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w")


def _make_certificates(directory: Path, hosts: list[str]) -> dict[str, str]:
    made = make_trial_certificates(directory, hosts, datetime.now(UTC))
    return {"authority": str(made.authority), "fingerprint": made.fingerprint}


def _authority(host: str) -> str:
    return f"[{host}]" if ":" in host else host
