"""Opening, migrating, and transactions that hold or are undone."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from control.errors import InvalidRequestError
from control.store import queries
from control.store.database import Database, normalised_url
from control.store.schema import METADATA
from tests.support.records import user_record

if TYPE_CHECKING:
    from pathlib import Path

    import sqlalchemy as sa


async def test_migrations_build_the_schema(database: Database) -> None:
    def differences(connection: sa.Connection) -> Any:
        return compare_metadata(MigrationContext.configure(connection), METADATA)

    async with database.reading() as connection:
        assert await connection.run_sync(differences) == []


async def test_opening_again_keeps_what_is_there(database_url: str) -> None:
    first = await Database.open(database_url)
    async with first.writing() as transaction:
        await queries.add_user(transaction, user_record())
    await first.close()
    second = await Database.open(database_url)
    async with second.reading() as connection:
        assert await queries.users(connection) == [user_record()]
    await second.close()


async def test_database_of_a_newer_version_is_refused(database_url: str) -> None:
    database = await Database.open(database_url)
    async with database.writing() as transaction:
        await transaction.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    await database.close()
    with pytest.raises(InvalidRequestError, match="newer version of Postern"):
        await Database.open(database_url)


OPEN = """
import asyncio, sys
from control.store.database import Database
async def main():
    await (await Database.open(sys.argv[1])).close()
asyncio.run(main())
"""


async def test_two_servers_may_open_a_new_database_at_once(database_url: str) -> None:
    async def open_elsewhere() -> int:
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", OPEN, database_url)
        return await process.wait()

    assert sum(await asyncio.gather(open_elsewhere(), open_elsewhere())) == 0


async def fail_in_the_middle(database: Database) -> None:
    async with database.writing() as transaction:
        await queries.add_user(transaction, user_record())
        raise RuntimeError


async def test_transaction_that_raises_is_undone(database: Database) -> None:
    with pytest.raises(RuntimeError):
        await fail_in_the_middle(database)
    async with database.reading() as connection:
        assert await queries.users(connection) == []


async def test_concurrent_writers_all_get_through(database: Database) -> None:
    async def add(number: int) -> None:
        async with database.writing() as transaction:
            await queries.add_user(
                transaction, user_record(name=f"user-{number}", provider_id=None)
            )

    await asyncio.gather(*map(add, range(20)))
    async with database.reading() as connection:
        assert len(await queries.users(connection)) == 20


async def test_sqlite_writes_ahead_and_flushes(tmp_path: Path) -> None:
    database = await Database.open(f"sqlite:///{tmp_path / 'control.db'}")
    async with database.reading() as connection:
        modes = [
            (await connection.exec_driver_sql(f"PRAGMA {name}")).scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        ]
    await database.close()
    assert modes == ["wal", 2, 1]


@pytest.mark.parametrize("url", ["", "mysql://x/y", "oracle://x", "not a url"])
def test_other_databases_are_refused(url: str) -> None:
    with pytest.raises(InvalidRequestError, match=r"^database: "):
        normalised_url(url)
