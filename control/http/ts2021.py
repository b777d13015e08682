"""`/ts2021`: from an HTTP/1.1 request to a control connection (control reference 2.2).

aiohttp knows upgrades to WebSocket only. The transport is taken from it: our protocol gets the
bytes from then on, and aiohttp's own hears of the connection's end, so that it cleans up. The
handler stays until then, with a response that writes nothing.
"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Final

import structlog
from aiohttp import WSCloseCode, web

from control.channel.driver import ChannelProtocol
from control.channel.machine import ControlChannel
from control.http.websocket import WebSocketTransport
from control.noise import HandshakeError, decode_handshake_header, encode_error_frame

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiohttp.abc import AbstractStreamWriter

    from control.channel.driver import Handler
    from control.keys import MachinePrivate

__all__ = ["Ts2021"]

_MAX_MESSAGE: Final = 1 << 20

_UPGRADE: Final = "tailscale-control-protocol"
_HEADER: Final = "X-Tailscale-Handshake"
_SWITCHING: Final = (
    b"HTTP/1.1 101 Switching Protocols\r\n"
    b"Upgrade: tailscale-control-protocol\r\n"
    b"Connection: upgrade\r\n\r\n"
)
_log = structlog.get_logger("control.ts2021")


class _Hijacked(web.StreamResponse):
    """Stands for a response on a connection that is no longer HTTP."""

    def __init__(self) -> None:
        super().__init__(status=101)

    async def prepare(self, _request: web.BaseRequest) -> AbstractStreamWriter | None:
        return None

    async def write_eof(self, _data: bytes = b"") -> None:
        return None


async def _turn_away(socket: web.WebSocketResponse, why: str) -> None:
    await socket.close(code=WSCloseCode.POLICY_VIOLATION, message=why.encode())


def _forget(_error: Exception | None) -> None:
    """Do nothing when a connection ends: the handler of its WebSocket goes on and cleans up."""


class Ts2021:
    """Upgrades requests and keeps track of the connections, so that they can be shut down."""

    def __init__(
        self,
        control: MachinePrivate,
        handle: Handler,
        remote_of: Callable[[web.Request], str],
        prove: Callable[[asyncio.BaseTransport], None],
    ) -> None:
        """`prove` hears of every connection whose handshake is through."""
        self._control = control
        self._handle = handle
        self._remote_of = remote_of
        self._prove = prove
        self._open: set[ChannelProtocol] = set()

    @property
    def connection_count(self) -> int:
        """How many control connections are open."""
        return len(self._open)

    async def upgrade(self, request: web.Request) -> web.StreamResponse:
        """Handle one request; returns when the control connection has ended."""
        upgrade = request.headers.get("Upgrade")
        if upgrade is None:
            return web.Response(status=400, text="missing next protocol")
        if upgrade.lower() != _UPGRADE:
            return web.Response(status=400, text="unknown next protocol")
        header = request.headers.get(_HEADER)
        if header is None:
            return web.Response(status=400, text="missing Tailscale handshake header")
        try:
            initiation = decode_handshake_header(header)
        except ValueError:
            return web.Response(status=400, text="invalid tailscale handshake header")
        transport = request.transport
        if not isinstance(transport, asyncio.Transport):
            return web.Response(status=400, text="the connection is gone")
        remote = self._remote_of(request)
        try:
            channel = ControlChannel(initiation, control=self._control, entropy=os.urandom)
        except HandshakeError as error:
            _log.info("handshake failed", remote=remote, fault=error.fault.name)
            told = encode_error_frame(error.fault.value) if error.fault.is_told_to_the_peer else b""
            transport.write(_SWITCHING + told)
            transport.close()
            return _Hijacked()
        await self._serve(channel, transport, remote)
        return _Hijacked()

    async def _serve(
        self, channel: ControlChannel, transport: asyncio.Transport, remote: str
    ) -> None:
        original = transport.get_protocol()
        protocol = ChannelProtocol(
            channel,
            self._handle,
            remote,
            original.connection_lost,
            lambda: self._prove(transport),
        )
        self._open.add(protocol)
        try:
            protocol.adopt(transport, _SWITCHING)
            await protocol.closed
        finally:
            self._open.discard(protocol)
            transport.close()

    async def upgrade_websocket(self, request: web.Request) -> web.StreamResponse:
        """Handle the variant for browsers: the same bytes in binary messages (reference 2.7)."""
        socket = web.WebSocketResponse(
            protocols=(_UPGRADE,), compress=False, max_msg_size=_MAX_MESSAGE, heartbeat=None
        )
        if not socket.can_prepare(request):
            return web.Response(status=400, text="missing next protocol")
        await socket.prepare(request)
        if socket.ws_protocol != _UPGRADE:
            await _turn_away(socket, "client must speak the control subprotocol")
            return socket
        try:
            initiation = decode_handshake_header(request.query.get(_HEADER, ""))
            channel = ControlChannel(initiation, control=self._control, entropy=os.urandom)
        except (ValueError, HandshakeError):
            await _turn_away(socket, "invalid handshake")
            return socket
        remote = self._remote_of(request)
        transport = WebSocketTransport(socket)
        outer = request.transport
        protocol = ChannelProtocol(
            channel,
            self._handle,
            remote,
            _forget,
            lambda: None if outer is None else self._prove(outer),
        )
        self._open.add(protocol)
        try:
            protocol.adopt(transport, b"")
            await transport.run(protocol)
            await protocol.closed
        finally:
            self._open.discard(protocol)
        return socket

    async def shut_down(self, spread_s: float) -> None:
        """Send every client away, spread over a time so that they do not all return at once."""
        connections = list(self._open)
        for connection in connections:
            connection.close()
            await asyncio.sleep(spread_s / len(connections))

    def abandon(self) -> None:
        """Close what is left at once."""
        for connection in list(self._open):
            connection.close()
