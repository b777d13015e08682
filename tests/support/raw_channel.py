"""A control connection that asks anything in any method, over TCP or a WebSocket."""

from __future__ import annotations

import asyncio
import os
import re
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import aiohttp

from control.wire.framing import dump_json
from node.session.channel import (
    BodyReceived,
    ClientChannel,
    ResponseEnded,
    ResponseFailed,
    ResponseStarted,
)
from node.session.driver import fetch_server_key

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from tests.support.control_server import Control, TestNode

__all__ = ["Answer", "RawChannel", "raw_channel", "raw_websocket"]

_HEAD = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: tailscale-control-protocol\r\n"
    b"Connection: upgrade\r\n\r\n"
)
_PATIENCE_S = 60.0


@dataclass(slots=True)
class Answer:
    """A response."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    failed: bool = False
    ended: asyncio.Event = field(default_factory=asyncio.Event)


class RawChannel:
    """Requests over one control connection."""

    def __init__(self, channel: ClientChannel, send: Callable[[bytes], Awaitable[None]]) -> None:
        self._channel = channel
        self._send = send
        self._answers: dict[int, Answer] = {}
        self.established = asyncio.Event()

    def receive(self, data: bytes) -> None:
        for event in self._channel.receive(data):
            answer = self._answers[event.stream]
            match event:
                case ResponseStarted():
                    answer.status, answer.headers = event.status, dict(event.headers)
                case BodyReceived():
                    answer.body += event.data
                case ResponseEnded():
                    answer.ended.set()
                case ResponseFailed():
                    answer.failed = True
                    answer.ended.set()
        if self._channel.is_established:
            self.established.set()

    def lose(self) -> None:
        """Fail what is not complete: the connection is over."""
        for answer in self._answers.values():
            answer.failed = answer.failed or not answer.ended.is_set()
            answer.ended.set()

    async def begin(self, method: str, path: str, value: Any = None) -> tuple[int, Answer]:
        """Send a request; its answer fills in as it comes."""
        async with asyncio.timeout(_PATIENCE_S):
            await self.established.wait()
        stream = self._channel.request(method, path, b"" if value is None else dump_json(value))
        answer = self._answers[stream] = Answer()
        await self._send(self._channel.transmit())
        return stream, answer

    async def ask(self, method: str, path: str, value: Any = None) -> Answer:
        """Send a request and wait for the end of its answer."""
        _, answer = await self.begin(method, path, value)
        async with asyncio.timeout(_PATIENCE_S):
            await answer.ended.wait()
        return answer

    async def give_up(self, stream: int) -> None:
        """Wait for an answer no longer."""
        self._channel.cancel(stream)
        await self._send(self._channel.transmit())


async def _new_channel(control: Control, node: TestNode) -> ClientChannel:
    key = await fetch_server_key(control.url)
    return ClientChannel(
        host=control.url.authority,
        version=113,
        machine=node.machine,
        server=key,
        entropy=os.urandom,
    )


@asynccontextmanager
async def raw_channel(control: Control, node: TestNode) -> AsyncIterator[RawChannel]:
    """Connect a node's machine for the length of the block."""
    channel = await _new_channel(control, node)
    reader, writer = await asyncio.open_connection(control.url.host, control.url.port)

    async def send(data: bytes) -> None:
        writer.write(data)
        await writer.drain()

    raw = RawChannel(channel, send)

    async def read() -> None:
        try:
            while data := await reader.read(65536):
                raw.receive(data)
        finally:
            raw.lose()

    await send(channel.transmit())
    task = asyncio.create_task(read())
    try:
        yield raw
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        writer.close()
        await asyncio.gather(writer.wait_closed(), return_exceptions=True)


@asynccontextmanager
async def raw_websocket(
    control: Control, node: TestNode, *, piece: int = 1 << 20
) -> AsyncIterator[RawChannel]:
    """Connect over a WebSocket, which carries the bytes in messages of at most `piece`."""
    channel = await _new_channel(control, node)
    request = channel.transmit().decode("ascii")
    found = re.search(r"X-Tailscale-Handshake: (\S+)", request)
    assert found
    url = f"{control.url}/ts2021?X-Tailscale-Handshake={quote(found[1], safe='')}"
    protocols = ("tailscale-control-protocol",)
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(url, protocols=protocols, compress=0) as socket,
    ):
        assert socket.protocol == protocols[0]

        async def send(data: bytes) -> None:
            for at in range(0, len(data), piece):
                await socket.send_bytes(data[at : at + piece])

        raw = RawChannel(channel, send)
        raw.receive(_HEAD)

        async def read() -> None:
            try:
                async for message in socket:
                    raw.receive(message.data)
            finally:
                raw.lose()

        task = asyncio.create_task(read())
        try:
            yield raw
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
