"""Opening, migrating, and transactions that hold or are undone."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import sys
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from control.errors import InvalidRequestError
from control.store import queries
from control.store.database import MIGRATIONS, Database, normalised_url
from control.store.rows import node_to_row
from control.store.schema import METADATA
from tests.support.records import node_record, user_record

if TYPE_CHECKING:
    from pathlib import Path

    import sqlalchemy as sa


async def test_sqlite_files_are_for_their_owner_alone(tmp_path: Path) -> None:
    database = await Database.open(f"sqlite:///{tmp_path}/control.db")
    try:
        async with database.writing() as connection:
            await connection.execute(text("CREATE TABLE more (x)"))
        files = await asyncio.to_thread(lambda: list(tmp_path.iterdir()))
        modes = {path.name: path.stat().st_mode & 0o777 for path in files}
    finally:
        await database.close()
    assert set(modes) == {"control.db", "control.db-wal", "control.db-shm"}
    assert set(modes.values()) == {0o600}


async def test_migrations_build_the_schema(database: Database) -> None:
    def differences(connection: sa.Connection) -> Any:
        return compare_metadata(MigrationContext.configure(connection), METADATA)

    async with database.reading() as connection:
        assert await connection.run_sync(differences) == []


async def test_routes_approved_before_they_were_told_apart_are_a_persons(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'control.db'}"

    def build_first(connection: sa.Connection) -> None:
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")

    engine = create_async_engine(normalised_url(url))
    async with engine.begin() as connection:
        await connection.run_sync(build_first)
        row = node_to_row(node_record(user_id=None))
        del row["policy_routes"]
        names = ", ".join(row)
        marks = ", ".join(f":{name}" for name in row)
        values = {
            name: json.dumps(value) if isinstance(value, dict | list) else value
            for name, value in row.items()
        }
        values["last_seen"] = values["created_at"] = 0
        await connection.execute(text(f"INSERT INTO nodes ({names}) VALUES ({marks})"), values)  # noqa: S608  names of columns
    await engine.dispose()

    database = await Database.open(url)
    async with database.reading() as reading:
        (node,) = await queries.nodes(reading)
    await database.close()
    assert node.approved_routes == node_record().approved_routes
    assert node.policy_routes == ()


async def test_what_follows_from_a_commit_follows_although_nobody_waits(
    database: Database,
) -> None:
    followed, is_written = asyncio.Event(), asyncio.Event()

    async def write() -> None:
        async with database.writing(followed.set) as transaction:
            await queries.add_user(transaction, user_record())
            is_written.set()

    for turns in range(30):
        followed.clear()
        is_written.clear()
        writing = asyncio.create_task(write())
        await is_written.wait()
        for _ in range(turns):
            await asyncio.sleep(0)
        writing.cancel()
        await asyncio.wait({writing})
        async with database.reading() as connection:
            found = await queries.users(connection)
        assert bool(found) == followed.is_set(), turns
        async with database.writing() as transaction:
            for user in found:
                await queries.delete_user(transaction, user.id)


@pytest.mark.parametrize("times", [1, 2])
async def test_writer_that_is_cancelled_in_a_statement_leaves_no_lock_behind(
    tmp_path: Path, times: int
) -> None:
    database = await Database.open(f"sqlite:///{tmp_path / 'control.db'}")
    outcomes: list[BaseException] = []
    is_writing = asyncio.Event()

    async def write() -> None:
        try:
            async with database.writing() as transaction:
                await queries.add_user(transaction, user_record())
                is_writing.set()
                for _ in range(100):
                    await transaction.exec_driver_sql(
                        "INSERT INTO audit_log (at, actor, action, target, details) "
                        "VALUES (0, '', '', '', '{}') RETURNING id"
                    )
                    await asyncio.sleep(0)
        except BaseException as error:
            # Whoever logs it keeps all that it refers to.
            outcomes.append(error)
            raise

    for turns in range(40):
        is_writing.clear()
        writing = asyncio.create_task(write())
        await is_writing.wait()
        # A stream ends, then its connection: who serves them is cancelled at each.
        for _ in range(times):
            for _ in range(turns):
                await asyncio.sleep(0)
            writing.cancel()
        await asyncio.wait({writing})
        with closing(sqlite3.connect(tmp_path / "control.db", timeout=1)) as other:
            other.execute("BEGIN IMMEDIATE")
    await database.close()
    assert {type(error) for error in outcomes} == {asyncio.CancelledError}


async def test_time_limit_around_a_commit_is_still_a_time_limit(database: Database) -> None:
    async def write() -> None:
        while True:
            async with database.writing() as transaction:
                await queries.users(transaction)

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(write(), 0.001)


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
