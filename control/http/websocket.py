"""A WebSocket as the transport of a byte stream; where messages begin and end means nothing."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from aiohttp import WSMsgType

if TYPE_CHECKING:
    from aiohttp import web

__all__ = ["WebSocketTransport"]

_HIGH_BYTES: Final = 1 << 20
_PIECE_BYTES: Final = 64 * 1024
_FLUSH_S: Final = 5.0


class WebSocketTransport(asyncio.Transport):
    """Carries one protocol's bytes in binary messages. `run` is its life."""

    def __init__(self, socket: web.WebSocketResponse) -> None:
        super().__init__()
        self._socket = socket
        self._protocol: asyncio.Protocol | None = None
        self._waiting = bytearray()
        self._high = _HIGH_BYTES
        self._is_paused = False
        self._is_closing = False
        self._work = asyncio.Event()

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Give the bytes to a protocol from now on."""
        if not isinstance(protocol, asyncio.Protocol):
            raise TypeError("a protocol of a byte stream is needed")
        self._protocol = protocol

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return nothing: the socket belongs to the HTTP server."""
        del name
        return default

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Set how much may wait before the protocol is asked to pause."""
        del low
        self._high = _HIGH_BYTES if high is None else high

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send bytes, in order."""
        if self._is_closing:
            return
        self._waiting += data
        if len(self._waiting) > self._high and not self._is_paused and self._protocol is not None:
            self._is_paused = True
            self._protocol.pause_writing()
        self._work.set()

    def is_closing(self) -> bool:
        """Return whether nothing is taken any more."""
        return self._is_closing

    def close(self) -> None:
        """Send what waits, then end."""
        self._is_closing = True
        self._work.set()

    def abort(self) -> None:
        """End at once."""
        self._waiting.clear()
        self.close()

    async def run(self, protocol: asyncio.Protocol) -> None:
        """Move bytes both ways until either side ends; then tell the protocol."""
        sending = asyncio.create_task(self._send(protocol), name="websocket send")
        receiving = asyncio.create_task(self._receive(protocol), name="websocket receive")
        try:
            await asyncio.wait({sending, receiving}, return_when=asyncio.FIRST_COMPLETED)
            if self._is_closing and not self._socket.closed:
                # What was written last says why.
                await asyncio.wait({sending}, timeout=_FLUSH_S)
        finally:
            self._is_closing = True
            for task in (sending, receiving):
                task.cancel()
            await asyncio.gather(sending, receiving, return_exceptions=True)
            protocol.connection_lost(None)
        await self._socket.close()

    async def _receive(self, protocol: asyncio.Protocol) -> None:
        async for message in self._socket:
            if message.type is not WSMsgType.BINARY:
                return
            protocol.data_received(message.data)
            if self._is_closing:
                return

    async def _send(self, protocol: asyncio.Protocol) -> None:
        while True:
            await self._work.wait()
            self._work.clear()
            while self._waiting:
                piece = bytes(self._waiting[:_PIECE_BYTES])
                del self._waiting[: len(piece)]
                await self._socket.send_bytes(piece)
            if self._is_closing:
                return
            if self._is_paused:
                self._is_paused = False
                protocol.resume_writing()
