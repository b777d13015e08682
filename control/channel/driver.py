"""Driver of `ControlChannel`: a transport on one side, a task for each request on the other.

A client that takes nothing for `STALL_S` seconds is cut off, so that half-open and stuck clients
cannot hold memory.
"""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, urlsplit

import structlog

from control.channel.machine import ChannelClosedError, RequestReceived, StreamEnded
from control.channel.responses import ChannelRequest, ChannelResponse

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from control.channel.machine import ControlChannel
    from control.channel.responses import ResponseStream

    Handler = Callable[[ChannelRequest, ResponseStream], Awaitable[ChannelResponse | None]]

__all__ = ["ChannelProtocol"]

STALL_S: Final = 60.0
PROOF_S: Final = 10.0
"""How long a handshake may take, until HTTP/2 has begun."""
IDLE_S: Final = 600.0
"""How long a connection may have no request open; a node's map stream is one that stays open."""
_UNACKNOWLEDGED_MS: Final = 120_000
WATCHED_IDLE_S: Final = 2
WATCHED_PROBE_S: Final = 1
WATCHED_LOST_S: Final = 5
"""A watched client is asked by the kernel after `WATCHED_IDLE_S` of silence, then every
`WATCHED_PROBE_S`, and given up when nothing was acknowledged for `WATCHED_LOST_S`. The client's
kernel answers, so a process that is slow or busy loses nothing by it; and three probes at least
have to be lost. Headscale gives a router that does not answer five seconds as well (control
reference 7.4)."""
_HIGH_WATER_BYTES: Final = 1 << 20
_log = structlog.get_logger("control.channel")


class ChannelProtocol(asyncio.Protocol):
    """One control connection. `handle` answers whole requests, or streams and returns None."""

    def __init__(
        self,
        channel: ControlChannel,
        handle: Handler,
        remote: str,
        on_lost: Callable[[Exception | None], None],
        on_proven: Callable[[], None] = lambda: None,
    ) -> None:
        self._channel = channel
        self._handle = handle
        self._remote = remote
        self._on_lost = on_lost
        self._on_proven = on_proven
        self._transport: asyncio.Transport | None = None
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._writable = asyncio.Event()
        self._writable.set()
        self._progress = asyncio.Event()
        self._idle: asyncio.TimerHandle | None = None
        self._is_proven = False
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done when the connection is over and every request's task has ended."""

    def adopt(self, transport: asyncio.Transport, head: bytes) -> None:
        """Take over a transport; `head` and everything the channel has ready go out as one."""
        self._transport = transport
        _limit_half_open(transport)
        transport.set_protocol(self)
        self._watch_idleness()
        transport.set_write_buffer_limits(high=_HIGH_WATER_BYTES)
        transport.write(head + self._channel.transmit())

    def close(self) -> None:
        """Tell the peer to come back later, and end."""
        if self._transport is not None and not self._transport.is_closing():
            self._channel.shut_down()
            self.flush()
            self._transport.close()

    def flush(self) -> None:
        """Write what the channel has ready."""
        if self._transport is None or self._transport.is_closing():
            return
        data = self._channel.transmit()
        if data:
            self._transport.write(data)

    def watch(self) -> None:
        """Have the kernel notice within seconds that the client is gone without a word."""
        if self._transport is not None:
            _watch_closely(self._transport)

    def data_received(self, data: bytes) -> None:
        """Feed the machine and start what it asks for."""
        try:
            events = self._channel.receive(data)
        except ChannelClosedError as error:
            _log.info("control connection closed", remote=self._remote, reason=str(error))
            self.flush()
            if self._transport is not None:
                self._transport.close()
            return
        if self._channel.is_proven and not self._is_proven:
            self._is_proven = True
            self._on_proven()
            self._watch_idleness()
        for event in events:
            match event:
                case RequestReceived():
                    self._busy()
                    self._tasks[event.stream] = asyncio.create_task(
                        self._serve(event), name=f"control {event.path}"
                    )
                case StreamEnded(stream):
                    task = self._tasks.get(stream)
                    if task is not None:
                        task.cancel()
        self._progress.set()
        self.flush()

    def pause_writing(self) -> None:
        """Note that the kernel's buffer and ours are full."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """Note that there is room again."""
        self._writable.set()

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel every request's task; `closed` follows when they have ended."""
        for task in self._tasks.values():
            task.cancel()
        self._busy()
        self._writable.set()
        self._on_lost(exc)
        if not self._tasks and not self.closed.done():
            self.closed.set_result(None)

    async def drained(self, stream: int) -> None:
        """Wait until a stream's buffer and the connection's are low; cuts off who takes nothing."""
        if self._writable.is_set() and not self._channel.buffered(stream):
            return
        try:
            async with asyncio.timeout(STALL_S):
                await self._writable.wait()
                while self._channel.buffered(stream):
                    self._progress.clear()
                    await self._progress.wait()
        except TimeoutError:
            _log.info("control client takes nothing", remote=self._remote)
            if self._transport is not None:
                self._transport.abort()
            raise ConnectionResetError("the client takes nothing") from None

    def _watch_idleness(self) -> None:
        """Start to count when no request is open."""
        self._busy()
        if not self._tasks and self._transport is not None and not self._transport.is_closing():
            limit_s = IDLE_S if self._is_proven else PROOF_S
            self._idle = asyncio.get_running_loop().call_later(limit_s, self.close)

    def _busy(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None

    async def _serve(self, event: RequestReceived) -> None:
        stream = _Stream(self, self._channel, event.stream)
        parts = urlsplit(event.path)
        request = ChannelRequest(
            machine=self._channel.machine,
            version=self._channel.version,
            remote=self._remote,
            method=event.method,
            path=parts.path,
            query=dict(parse_qsl(parts.query, keep_blank_values=True)),
            body=event.body,
        )
        try:
            try:
                response = await self._handle(request, stream)
            except ConnectionResetError:
                return
            except Exception:  # noqa: BLE001  one request's fault must not end the others
                _log.exception("control request failed", path=parts.path)
                if stream.is_started:
                    self._channel.abort(event.stream)
                    self.flush()
                    return
                response = ChannelResponse.text(500, "internal error; the server's log has it")
            self._finish(event.stream, response)
        finally:
            del self._tasks[event.stream]
            self._watch_idleness()
            is_over = self._transport is None or self._transport.is_closing()
            if is_over and not self._tasks and not self.closed.done():
                self.closed.set_result(None)

    def _finish(self, stream: int, response: ChannelResponse | None) -> None:
        if response is not None:
            headers = (
                ("content-type", response.content_type),
                ("content-length", str(len(response.body))),
                *response.headers,
            )
            self._channel.start(stream, response.status, headers)
            self._channel.send(stream, response.body)
        self._channel.finish(stream)
        self.flush()


def _limit_half_open(transport: asyncio.Transport) -> None:
    """Let the kernel give up on a client that acknowledges nothing, such as one that lost power."""
    _set_tcp_options(transport, {"TCP_USER_TIMEOUT": _UNACKNOWLEDGED_MS})


def _watch_closely(transport: asyncio.Transport) -> None:
    # With a user timeout the kernel counts no probes: it gives up once that has passed.
    options = {
        "TCP_KEEPIDLE": WATCHED_IDLE_S,
        "TCP_KEEPINTVL": WATCHED_PROBE_S,
        "TCP_USER_TIMEOUT": WATCHED_LOST_S * 1000,
    }
    sock = _set_tcp_options(transport, options)
    if sock is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)


def _set_tcp_options(
    transport: asyncio.Transport, options: Mapping[str, int]
) -> socket.socket | None:
    """Set what this system knows of; returns the socket, None when it is none of TCP."""
    sock: socket.socket | None = transport.get_extra_info("socket")
    if sock is None or sock.fileno() < 0 or sock.family == socket.AF_UNIX:
        return None
    for name, value in options.items():
        option = getattr(socket, name, None)
        if option is not None:
            sock.setsockopt(socket.IPPROTO_TCP, option, value)
    return sock


class _Stream:
    """The response stream that a handler writes to."""

    def __init__(self, protocol: ChannelProtocol, channel: ControlChannel, stream: int) -> None:
        self._protocol = protocol
        self._channel = channel
        self._stream = stream
        self.is_started = False

    def start(self, status: int) -> None:
        self.is_started = True
        self._channel.start(self._stream, status)
        self._protocol.flush()

    def watch(self) -> None:
        self._protocol.watch()

    async def send(self, data: bytes) -> None:
        self._channel.send(self._stream, data)
        self._protocol.flush()
        await self._protocol.drained(self._stream)
