"""Dialling a relay: what becomes of a connection that nobody waits for."""

from __future__ import annotations

import asyncio
import contextlib
import os

from control.keys import NodePrivate
from relay.dial import RelayAddress, dial


async def test_cancelled_dial_closes_its_connection() -> None:
    asked, ended = asyncio.Event(), asyncio.Event()

    async def silent_relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(4096):
            asked.set()
        ended.set()
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(silent_relay, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    address = RelayAddress("127.0.0.1", port)
    dialling = asyncio.create_task(
        dial(address, NodePrivate.generate(os.urandom), lambda _event: None)
    )
    await asked.wait()
    dialling.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await dialling
    async with asyncio.timeout(5):
        await ended.wait()
    server.close()
    await server.wait_closed()
