"""The policy without a server: straight from the database that the configuration names.

For the day when no server starts. A server that runs on PostgreSQL hears of the change; one on
SQLite does not until it is restarted, which is why it must be stopped first.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from control.config import load_config
from control.errors import InvalidRequestError
from control.policies.in_force import PolicyRefusedError
from control.policies.keeper import PolicyKeeper
from control.registry.ledger import Ledger
from control.registry.tailnet import Tailnet
from control.store import queries
from control.store.database import Database

if TYPE_CHECKING:
    import argparse
    from collections.abc import AsyncIterator

__all__ = ["check_directly", "get_directly", "set_directly"]

_ACTOR: Final = "database"


def get_directly(options: argparse.Namespace) -> dict[str, Any]:
    """Return the policy as the server would serve it."""

    async def run() -> dict[str, Any]:
        async with _keeper(options) as keeper:
            found = keeper.in_force
            return {
                "policy": found.text,
                "version": found.version,
                "warning": found.warning,
                "failingTests": [],
                "pendingTests": [],
            }

    return asyncio.run(run())


def check_directly(options: argparse.Namespace, text: str) -> dict[str, Any]:
    """Check a policy against the tailnet; raises PolicyRefusedError."""

    async def run() -> dict[str, Any]:
        async with _keeper(options) as keeper:
            checked = await keeper.check(text, may_wait=options.pending_tests)
        if checked.policy is None:
            raise PolicyRefusedError(checked)
        waiting = [error for test in checked.waiting for error in test.errors]
        return {"warnings": list(checked.warnings), "pendingTests": waiting}

    return asyncio.run(run())


def set_directly(options: argparse.Namespace, text: str) -> dict[str, Any]:
    """Set a policy; raises PolicyRefusedError, or InvalidRequestError while a server runs."""

    async def run() -> dict[str, Any]:
        async with _keeper(options) as keeper:
            found = await keeper.set(text, _ACTOR, may_wait=options.pending_tests)
            return {
                "policy": found.text,
                "version": found.version,
                "pendingTests": list(keeper.pending_tests),
            }

    config = load_config(options.config)
    if config.database.startswith("sqlite") and config.unix_socket is not None:
        _refuse_while_running(str(config.unix_socket))
    return asyncio.run(run())


def _refuse_while_running(path: str) -> None:
    import socket  # noqa: PLC0415  of this check alone

    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(path)
        except OSError:
            return
    raise InvalidRequestError(
        f"a server answers at {path} and would not notice: set the policy through it, or stop it"
    )


@asynccontextmanager
async def _keeper(options: argparse.Namespace) -> AsyncIterator[PolicyKeeper]:
    config = load_config(options.config)
    database = await Database.open(config.database)
    try:
        async with database.reading() as connection:
            tailnet = Tailnet(await queries.users(connection), await queries.nodes(connection))
        ledger = Ledger(database, tailnet, lambda: datetime.now(UTC), os.urandom(8).hex())
        domain = config.dns.base_domain.strip(".")
        yield await PolicyKeeper.start(ledger, domain=domain, file=config.policy.path)
    finally:
        await database.close()
