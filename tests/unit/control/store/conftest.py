"""Databases to test against: SQLite always, PostgreSQL where it is installed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from control.store.database import Database
from tests.support.postgres import PostgresServer, find_postgres, postgres_server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    if find_postgres() is None:
        pytest.skip("no PostgreSQL server is installed (Debian: postgresql)")
    with postgres_server() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'control.db'}"
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.url()


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    opened = await Database.open(database_url)
    yield opened
    await opened.close()
