"""Dialling a relay: what becomes of a connection that nobody waits for."""

from __future__ import annotations

import asyncio
import contextlib
import os
from datetime import UTC, datetime

import pytest

from control.keys import MeshKey, NodePrivate
from relay.dial import DialError, RelayAddress, dial
from relay.server.tls import client_context, self_signed, server_context
from relay.session_client import ClientOptions


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


async def test_server_without_the_pinned_certificate_hears_nothing() -> None:
    # It tells a key in its chain, as relays do: with that, all we say would leave at once.
    impostor = NodePrivate.generate(os.urandom)
    certificate, key, _ = self_signed("127.0.0.1", datetime.now(UTC))
    heard: asyncio.Queue[bytes] = asyncio.Queue()

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.put_nowait(await reader.read())
        writer.close()

    server = await asyncio.start_server(
        listen, "127.0.0.1", 0, ssl=server_context(certificate, key, impostor.public.raw)
    )
    address = RelayAddress(
        "127.0.0.1",
        server.sockets[0].getsockname()[1],
        certificate_pin="sha256-raw:" + "00" * 32,
        tls=client_context(verify=False),
    )
    options = ClientOptions(mesh_key=MeshKey(b"\x07" * 32))
    async with server:
        with pytest.raises(DialError, match="differs from the pinned"):
            await dial(address, NodePrivate.generate(os.urandom), lambda _event: None, options)
        async with asyncio.timeout(5):
            assert await heard.get() == b""


@pytest.mark.parametrize("host", ["a" * 64 + ".example", "a..example", "\udcff.example"])
async def test_name_that_cannot_be_one_is_an_error_of_dialling(host: str) -> None:
    with pytest.raises(DialError, match=r"relay .*example:443"):
        await dial(RelayAddress(host, 443), NodePrivate.generate(os.urandom), lambda _event: None)
