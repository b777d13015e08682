"""Several addresses of one region, against relays on loopback."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from control.keys import NodePrivate
from node.relays import race
from node.relays.race import first_welcome
from relay.dial import DialError, RelayAddress, RelayClient, dial
from tests.support.live_relay import HOST, running

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

PRIVATE = NodePrivate(b"\x11" * 32)
REFUSED = RelayAddress(HOST, 1)


async def dial_one(address: RelayAddress) -> RelayClient:
    return await dial(address, PRIVATE, lambda _event: None)


class Mute:
    """A server that accepts and says nothing."""

    def __init__(self) -> None:
        self.was_asked, self.was_left = asyncio.Event(), asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(4096):
            self.was_asked.set()
        self.was_left.set()
        writer.close()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[RelayAddress]:
        server = await asyncio.start_server(self.serve, HOST, 0)
        async with server:
            yield RelayAddress(HOST, server.sockets[0].getsockname()[1])


async def test_address_that_fails_is_followed_by_the_next_at_once() -> None:
    async with running() as live:
        began = asyncio.get_running_loop().time()
        client = await first_welcome([REFUSED, live.address], dial_one)
        assert asyncio.get_running_loop().time() - began < race.NEXT_S
        client.close()


async def test_address_that_is_slow_is_joined_by_the_next_and_then_left() -> None:
    mute = Mute()
    async with running() as live, mute.running() as place:
        client = await first_welcome([place, live.address], dial_one)
        async with asyncio.timeout(5):
            await mute.was_left.wait()
        client.close()


async def test_second_welcome_of_two_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(race, "NEXT_S", 0.0)
    clients: list[RelayClient] = []
    both = asyncio.Barrier(2)

    async def together(address: RelayAddress) -> RelayClient:
        client = await dial_one(address)
        clients.append(client)
        async with asyncio.timeout(5):
            await both.wait()
        return client

    async with running() as live:
        winner = await first_welcome([live.address, live.address], together)
        [loser] = [client for client in clients if client is not winner]
        assert await loser.closed == "closed by us"
        assert not winner.closed.done()
        winner.close()


async def test_failure_says_why_of_every_address() -> None:
    async with running() as live:
        port = live.relay.ports[0]
    with pytest.raises(DialError, match=rf"{HOST}:1: .*; relay {HOST}:{port}: "):
        await first_welcome([REFUSED, RelayAddress(HOST, port)], dial_one)


async def test_cancelled_race_leaves_nobody_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(race, "NEXT_S", 0.0)
    mutes = Mute(), Mute()
    async with mutes[0].running() as one, mutes[1].running() as two, asyncio.timeout(5):
        racing = asyncio.create_task(first_welcome([one, two], dial_one))
        for mute in mutes:
            await mute.was_asked.wait()
        racing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await racing
        for mute in mutes:
            await mute.was_left.wait()
