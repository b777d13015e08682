"""Connections to PostgreSQL that hang or break at the worst moment: servers still follow."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

from control.policies.in_force import ALLOW_ALL_TEXT
from tests.support.control_server import control_config, running_control
from tests.support.postgres_proxy import Fate, postgres_proxy

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from control.registry.ledger import Ledger
    from tests.support.control_server import Control
    from tests.support.postgres import PostgresServer
    from tests.support.postgres_proxy import PostgresProxy

POLICY = '{"acls": []}'
RECOVERY_S = 60.0


@pytest.fixture
async def proxy(
    postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[PostgresProxy]:
    # The same course of things, in less time.
    monkeypatch.setattr("control.store.postgres.PROVE_S", 1.0)
    monkeypatch.setattr("control.store.postgres.ANSWER_S", 2.0)
    monkeypatch.setattr("control.store.postgres.CONNECT_S", 2.0)
    async with postgres_proxy(postgres.url()) as proxy:
        yield proxy


async def until_in_force(control: Control, text: str) -> None:
    async with asyncio.timeout(RECOVERY_S):
        while control.server.keeper.in_force.text != text:  # noqa: ASYNC110  it has no event
            await asyncio.sleep(0.01)


async def use_connections(control: Control, count: int) -> None:
    """Leave that many idle ones in the pool."""
    in_use = asyncio.Barrier(count)

    async def use() -> None:
        async with control.server.database.reading() as connection:
            await connection.execute(sa.text("SELECT 1"))
            await in_use.wait()

    await asyncio.gather(*(use() for _ in range(count)))


async def hang(ledger: Ledger, proxy: PostgresProxy) -> None:
    async with ledger.transaction("test") as transaction:
        await transaction.audit("test", "before")
        proxy.swallow()
        await transaction.audit("test", "after")


async def test_server_follows_though_its_connections_no_longer_answer(
    postgres: PostgresServer, proxy: PostgresProxy, tmp_path: Path
) -> None:
    here = control_config(tmp_path, database=proxy.url)
    there = control_config(
        tmp_path,
        database=str(sa.make_url(proxy.url).update_query_dict({"host": postgres.host})),
        unix_socket=str(tmp_path / "two.sock"),
    )
    async with running_control(here) as one, running_control(there) as two:
        await use_connections(one, 4)
        proxy.swallow()
        await two.server.keeper.set(POLICY, "test")
        await until_in_force(one, POLICY)


@pytest.mark.parametrize("fate", [Fate.ANSWER_IS_LOST, Fate.IS_LATE])
async def test_server_learns_that_what_it_took_for_failed_is_durable(
    proxy: PostgresProxy, tmp_path: Path, fate: Fate
) -> None:
    async with running_control(control_config(tmp_path, database=proxy.url)) as one:
        user = await one.add_user("ann")
        proxy.fate = fate
        with pytest.raises(sa.exc.DBAPIError):
            await one.server.keeper.set(POLICY, "test")
        assert one.server.keeper.in_force.text == ALLOW_ALL_TEXT
        await until_in_force(one, POLICY)
        # It is nobody's to count: a server must not take itself for another one.
        assert one.server.ledger.tailnet.user(user.id) == user


async def test_transaction_that_hangs_ends_and_the_next_one_works(
    proxy: PostgresProxy, tmp_path: Path
) -> None:
    async with running_control(control_config(tmp_path, database=proxy.url)) as one:
        server = one.server
        with pytest.raises(sa.exc.DBAPIError):
            await hang(server.ledger, proxy)
        async with asyncio.timeout(RECOVERY_S):
            await server.keeper.set(POLICY, "test")
        assert server.keeper.in_force.text == POLICY
