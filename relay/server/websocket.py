"""DERP inside WebSocket messages, for clients in browsers (relay reference 1.5)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from aiohttp import WSCloseCode, WSMsgType, web

from relay.errors import Fault
from relay.server.connection import peer_of, round_trip_of
from relay.session_server import AdmissionAsked, ClientLeft

if TYPE_CHECKING:
    from relay.server.hub import Hub
    from relay.session_server import ServerSession

__all__ = ["serve_websocket"]

SUBPROTOCOL = "derp"
MAX_MESSAGE_BYTES = 1 << 20


async def serve_websocket(hub: Hub, request: web.Request) -> web.StreamResponse:
    """Carry one DERP stream over a WebSocket until either side ends it."""
    socket = web.WebSocketResponse(
        protocols=(SUBPROTOCOL,), compress=False, max_msg_size=MAX_MESSAGE_BYTES
    )
    await socket.prepare(request)
    if socket.ws_protocol != SUBPROTOCOL:
        await socket.close(code=WSCloseCode.POLICY_VIOLATION, message=b"client must speak derp")
        return socket
    hub.counters.websocket_accepts += 1
    link = WebSocketLink(hub, socket, request)
    try:
        await link.run()
    finally:
        link.session.disconnected()
        hub.forget(link)
        await socket.close()
    return socket


class WebSocketLink:
    """Message boundaries mean nothing: what arrives is one stream, what leaves another."""

    session: ServerSession

    def __init__(self, hub: Hub, socket: web.WebSocketResponse, request: web.Request) -> None:
        transport = request.transport
        if transport is None:
            raise web.HTTPBadRequest(text="connection is gone")
        self._hub = hub
        self._transport = transport
        self._socket = socket
        self._may_read = asyncio.Event()
        self._may_read.set()
        self._has_output = asyncio.Event()
        self._closing = False
        self._message = b""
        address, port = peer_of(transport)
        self.session = hub.open_session(self, address, port)

    async def run(self) -> None:
        """Read until the end, with a writer beside."""
        writer = asyncio.create_task(self._write_forever())
        try:
            await self._read_forever()
        finally:
            self._closing = True
            self._has_output.set()
            await writer

    async def _read_forever(self) -> None:
        while not self.session.is_closed:
            message = await self._socket.receive()
            if message.type is not WSMsgType.BINARY:
                return
            wait_s = self.session.receive(message.data, self._hub.now())
            self._act()
            if wait_s > 0:
                await asyncio.sleep(wait_s)
            await self._may_read.wait()

    async def _write_forever(self) -> None:
        while not self._closing:
            await self._has_output.wait()
            self._has_output.clear()
            while self._message:
                message, self._message = self._message, b""
                try:
                    await self._socket.send_bytes(message)
                except (ConnectionError, RuntimeError):
                    # The socket closed under us; the reader sees it too and ends the link.
                    return
                self.session.resume_writing(self._hub.now())
                self._collect()
            if self.session.is_closed:
                await self._socket.close()

    def _collect(self) -> None:
        """Copy what waits into the next message; nothing more is taken until it was sent."""
        if not self._message and (chunks := self.session.outbox.take()):
            self._message = b"".join(chunks)
            self.session.pause_writing(self._hub.now())

    def _act(self) -> None:
        while (event := self.session.next_event()) is not None:
            match event:
                case AdmissionAsked():
                    self._may_read.clear()
                    self._hub.ask_admission(self, event)
                case ClientLeft(fault):
                    if fault is Fault.WRITE_TIMEOUT:
                        # The writer waits for a client that does not read, the reader for its word.
                        self._transport.abort()
                    self._may_read.set()
                    self._has_output.set()

    def flush(self) -> None:
        """Wake the writer and act on the session's events."""
        self._act()
        self._collect()
        self._has_output.set()

    def unsent_bytes(self) -> int:
        """Return 0: the writer waits for each message, so being blocked is all there is to know."""
        return 0

    def round_trip_ms(self) -> float | None:
        """Return the kernel's estimate of the round trip."""
        return round_trip_of(self._transport)

    def resume(self) -> None:
        """Go on reading after the verdict."""
        self._act()
        self._may_read.set()

    def close(self) -> None:
        """End the session; reader and writer follow."""
        self.session.disconnected()
        self.flush()
