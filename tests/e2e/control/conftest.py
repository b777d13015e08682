"""Servers and databases for tests, and logs that cost what they cost in service."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import structlog

from tests.support.control_server import Control, control_config, running_control
from tests.support.postgres import PostgresServer, find_postgres, postgres_server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path


@pytest.fixture(autouse=True, scope="session")
def _plain_tracebacks() -> Iterator[None]:
    """Print tracebacks as the server does.

    With every frame's variables, as is the habit where `rich` is installed, one takes seconds, and
    a database that goes away leads to dozens.
    """
    before = structlog.get_config()
    plain = structlog.dev.ConsoleRenderer(
        colors=False, exception_formatter=structlog.dev.plain_traceback
    )
    structlog.configure(processors=[*before["processors"][:-1], plain])
    yield
    structlog.configure(**before)


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresServer]:
    if find_postgres() is None:
        pytest.skip("no PostgreSQL server is installed (Debian: postgresql)")
    with postgres_server() as server:
        yield server


@pytest.fixture
async def control(tmp_path: Path) -> AsyncIterator[Control]:
    async with running_control(control_config(tmp_path)) as running:
        yield running
