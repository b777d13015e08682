"""Connections to PostgreSQL that are cut when they no longer answer, instead of waited for.

A network that swallows packets, a stopped server or a proxy that lost its other side closes
nothing: whoever waits there waits for hours, with what it holds. So each connection of the pool
has to prove itself before it is given out, and to come back within a time.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

import asyncpg
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

__all__ = ["ANSWER_S", "CONNECT_S", "dial", "postgres_engine"]

CONNECT_S: Final = 10.0
PROVE_S: Final = 5.0
"""How long a connection may take to prove that it is alive."""
ANSWER_S: Final = 30.0
"""How long one may be in use. Reading a large tailnet takes a second or two."""
_CLOSE_S: Final = 1.0
_IDLE_MS: Final = 60_000
"""When PostgreSQL ends a transaction whose server says nothing: it may hold locks."""
_POOL_ONLY: Final = ("prepared_statement_cache_size", "prepared_statement_name_func")


def postgres_engine(url: sa.URL) -> AsyncEngine:
    """Return a pool for `url`, whose driver is asyncpg, on the running loop.

    A connection that is cut raises where it is waited for, as one does that PostgreSQL closed; the
    pool then replaces those that are as old.
    """
    engine = create_async_engine(
        url,
        connect_args={
            "timeout": CONNECT_S,
            "server_settings": {"idle_in_transaction_session_timeout": str(_IDLE_MS)},
        },
    )

    loop = asyncio.get_running_loop()

    @sa.event.listens_for(engine.sync_engine, "checkout")
    def give_out(connection: Any, record: Any, _fairy: Any) -> None:
        driver = connection.driver_connection
        if record.info.setdefault("is_used", False):
            timer = loop.call_later(PROVE_S, driver.terminate)
            try:
                engine.dialect.do_ping(connection)
            except (engine.dialect.loaded_dbapi.Error, OSError) as error:
                raise sa.exc.InvalidatePoolError from error
            # Whatever else comes out of it, being cancelled too, leaves one that is to be cut.
            timer.cancel()
        record.info["is_used"] = True
        record.info["timer"] = loop.call_later(ANSWER_S, driver.terminate)

    @sa.event.listens_for(engine.sync_engine, "checkin")
    def take_back(_connection: Any, record: Any) -> None:
        timer = record.info.pop("timer", None)
        if timer is not None:
            timer.cancel()

    @sa.event.listens_for(engine.sync_engine, "close")
    def close(connection: Any, _record: Any) -> None:
        # PostgreSQL is asked to, and may not answer that either.
        if loop.is_running():
            loop.call_later(_CLOSE_S, connection.driver_connection.terminate)

    return engine


async def dial(engine: AsyncEngine) -> asyncpg.Connection[Any]:
    """Return a connection outside the pool, with all that the URL asks for.

    Its statements raise TimeoutError when there is no answer. Raises OSError or
    asyncpg.PostgresError.
    """
    _, options = engine.dialect.create_connect_args(engine.url)
    known = {name: value for name, value in options.items() if name not in _POOL_ONLY}
    return await asyncpg.connect(**{**known, "timeout": CONNECT_S, "command_timeout": CONNECT_S})
