"""Opening the database: SQLite in WAL mode or PostgreSQL, brought up to date by migrations.

Writers to one SQLite file queue on a lock of this process and take the file's write lock at the
start of their transaction, so that none fails half-way for being late.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from contextlib import asynccontextmanager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

import aiosqlite
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from control.errors import InvalidRequestError
from control.store.postgres import CONNECT_S, dial, postgres_engine

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine

    import asyncpg

__all__ = ["Database", "normalised_url"]

MIGRATIONS = Path(__file__).with_name("migrations")
_DRIVERS = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+asyncpg"}
_BUSY_TIMEOUT_MS = 10_000
_ROWS_AT_ONCE = 64
T = TypeVar("T")


def normalised_url(text: str) -> sa.URL:
    """Return the URL with the driver used here; raises InvalidRequestError for other databases."""
    try:
        url = sa.make_url(text)
    except sa.exc.ArgumentError:
        raise InvalidRequestError(
            "database: not a URL; write sqlite:///FILE or postgresql://USER@HOST/NAME"
        ) from None
    backend = url.get_backend_name()
    if backend not in _DRIVERS:
        raise InvalidRequestError(f"database: {backend} is not supported; use sqlite or postgresql")
    return url.set(drivername=_DRIVERS[backend])


class Database:
    """A pool of connections and the rule of who may write when."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self.is_sqlite = engine.url.get_backend_name() == "sqlite"
        self._writer = asyncio.Lock() if self.is_sqlite else nullcontext()

    @classmethod
    async def open(cls, url_text: str) -> Self:
        """Connect, migrate to the newest schema, and return the database.

        Raises InvalidRequestError for one of a newer version of Postern.
        """
        url = normalised_url(url_text)
        if url.get_backend_name() == "sqlite":
            engine = create_async_engine(url, connect_args={"async_creator_fn": _SteadyConnection})
            _prepare_sqlite(engine)
            if url.database and url.database != ":memory:":
                _make_for_its_owner_alone(Path(url.database))
            migrating = engine
        else:
            engine = postgres_engine(url)
            # Migrations may take their time, and wait for those of another server.
            patience = {"timeout": CONNECT_S}
            migrating = create_async_engine(url, poolclass=sa.NullPool, connect_args=patience)
        database = cls(engine)
        try:
            async with cls(migrating).writing() as connection:
                await connection.run_sync(_migrate)
        except BaseException:
            await engine.dispose()
            raise
        return database

    async def dial(self) -> asyncpg.Connection[Any]:
        """Return a connection to PostgreSQL outside the pool (`control.store.postgres.dial`)."""
        return await dial(self._engine)

    async def close(self) -> None:
        """Close every connection."""
        await self._engine.dispose()

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """Give a connection for reading one consistent state."""
        async with self._engine.connect() as connection:
            yield connection

    @asynccontextmanager
    async def writing(
        self, on_durable: Callable[[], None] | None = None
    ) -> AsyncIterator[AsyncConnection]:
        """Give a transaction that is durable when the block ends, and undone if it raises.

        `on_durable` is called as soon as it is, with nothing in between: not even being cancelled
        parts what is on disk from what follows from it.
        """
        async with self._writer, self._engine.connect() as connection:
            if self.is_sqlite:
                await connection.exec_driver_sql("BEGIN IMMEDIATE")
            yield connection
            # A commit that was begun is waited for: its outcome must not stay unknown.
            await _to_the_end(connection.commit())
            if on_durable is not None:
                on_durable()


async def _to_the_end(work: Coroutine[Any, Any, T]) -> T:
    """Wait for work whatever happens; being cancelled meanwhile takes effect afterwards."""
    running, waiting = asyncio.ensure_future(work), asyncio.current_task()
    is_cancelled = False
    while not running.done():
        try:
            await asyncio.wait({running})
        except asyncio.CancelledError:
            is_cancelled = True
    if is_cancelled and waiting is not None:
        # The same request, put off: whoever counts requests, as timeouts do, still counts one.
        waiting.uncancel()
        waiting.cancel()
    return running.result()


class _SteadyConnection(aiosqlite.Connection):
    """A connection to SQLite whose statements are waited for, even by who is being cancelled.

    A statement goes on in its thread all the same. Whoever left it there would give a connection
    back that may hold the file's write lock until nothing refers to the statement any more.
    """

    def __init__(self, database: str, **options: Any) -> None:
        def connect() -> sqlite3.Connection:
            opened: sqlite3.Connection = sqlite3.connect(database, **options)
            return opened

        super().__init__(connect, _ROWS_AT_ONCE)
        # One that is left open must not keep the process from ending.
        self._thread.daemon = True

    async def _execute(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        work = super()._execute(fn, *args, **kwargs)  # type: ignore[no-untyped-call]
        return await _to_the_end(work)


def _make_for_its_owner_alone(path: Path) -> None:
    """Make the file, if it is not there; SQLite gives its logs the same mode."""
    # It is there, or cannot be made: then SQLite says so, as it always has.
    with suppress(OSError):
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))


def _prepare_sqlite(engine: AsyncEngine) -> None:
    @sa.event.listens_for(engine.sync_engine, "connect")
    def configure(connection: Any, _record: Any) -> None:
        # Transactions are begun by us, not by the driver's guess at the first write.
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in (
            "journal_mode = WAL",
            "synchronous = FULL",
            "foreign_keys = ON",
            f"busy_timeout = {_BUSY_TIMEOUT_MS}",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()


def _migrate(connection: sa.Connection) -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        raise InvalidRequestError(
            f"database: {error}. A newer version of Postern made it: run that version, or restore "
            "the backup from before the upgrade"
        ) from None
