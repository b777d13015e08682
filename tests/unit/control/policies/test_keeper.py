"""The keeper: what is in force follows what is stored, whatever becomes of who set it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from control.policies.keeper import PolicyKeeper
from control.registry.ledger import Ledger
from control.registry.tailnet import Tailnet
from control.store.database import Database
from tests.support.records import NOW

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from control.registry.ledger import Change

TEXT = '{"acls": []}'


@pytest.fixture
async def ledger(tmp_path: Path) -> AsyncIterator[Ledger]:
    database = await Database.open(f"sqlite:///{tmp_path / 'control.db'}")
    yield Ledger(database, Tailnet((), ()), lambda: NOW, "here")
    await database.close()


async def test_policy_is_in_force_once_stored_though_who_set_it_is_cancelled(
    ledger: Ledger,
) -> None:
    keeper = await PolicyKeeper.start(ledger, domain="tail.example")
    setting = asyncio.create_task(keeper.set(TEXT, "test"))

    def cancel(_change: Change) -> None:
        setting.cancel()

    # Listeners hear when it is durable, and before whoever waits for it goes on.
    ledger.listen(cancel)
    with pytest.raises(asyncio.CancelledError):
        await setting
    assert [version.text for version in await keeper.history()] == [TEXT]
    assert keeper.in_force.text == TEXT
