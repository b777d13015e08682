"""The public listener: accepts, counts, and sheds connections that are slow to say anything.

Every connection has `HEAD_S` for its TLS handshake and as long again for the head of a request.
aiohttp gets the rest. A control channel that comes out of a request stays unproven until its own
handshake is through (`control.channel.driver`).
"""

from __future__ import annotations

import asyncio
import resource
import socket
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final

import structlog
from aiohttp import web

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable

    from control.http.door import Door, Visit

    Front = Callable[
        [Callable[[], asyncio.Protocol], Callable[[], None], Callable[[], None]], asyncio.Protocol
    ]
    """Makes what looks at a connection before aiohttp does. It is given what makes aiohttp's side,
    what to call when somebody it kept for itself is known, and when that connection is over."""
    Handle = Callable[[web.Request], Awaitable[web.StreamResponse]]

__all__ = ["Listener", "connection_limit"]

HEAD_S: Final = 10.0
KEEP_ALIVE_S: Final = 60.0
"""How long a connection may wait between two requests."""
REQUEST_S: Final = 60.0
"""How long a request may take, with its body."""
_RESERVED_FILES: Final = 128
_BACKLOG: Final = 1024
_EXHAUSTED_S: Final = 0.1
_log = structlog.get_logger("control.listener")


def connection_limit(wanted: int) -> int:
    """Raise the limit of open files as far as is allowed; return how many connections fit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY or soft < hard:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            soft = hard
    if soft == resource.RLIM_INFINITY:
        return wanted
    return max(1, min(wanted, soft - _RESERVED_FILES))


class Listener:
    """Sockets of one application. `middleware` has to be the application's outermost."""

    def __init__(
        self, door: Door, *, long_paths: frozenset[str], front: Front | None = None
    ) -> None:
        """Let requests for `long_paths` last as long as they do, and prove nothing by it."""
        self.door = door
        self._front = front
        self._long_paths = long_paths
        self._guards: dict[asyncio.BaseTransport, _Guard] = {}
        self._sockets: list[socket.socket] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(
        self, make: Callable[[], asyncio.Protocol], address: str, tls: ssl.SSLContext | None
    ) -> int:
        """Listen on `HOST:PORT`, where an empty host is every address; return the port."""
        loop = asyncio.get_running_loop()
        host, _, port_text = address.rpartition(":")
        port = int(port_text)
        found = await loop.getaddrinfo(
            host.strip("[]") or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        for family, target in dict.fromkeys((item[0], item[4]) for item in found):
            listening = _bound(family, (target[0], port, *target[2:]))
            port = listening.getsockname()[1]
            self._sockets.append(listening)
            self._begin(self._accept(listening, make, tls))
        return port

    async def stop(self) -> None:
        """Accept no more connections; those that are there stay."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for listening in self._sockets:
            listening.close()

    def prove(self, transport: asyncio.BaseTransport) -> None:
        """Note that whoever is on a transport has shown what they want."""
        guard = self._guards.get(transport)
        if guard is not None:
            self.door.prove(guard.visit)

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handle) -> web.StreamResponse:
        """Give requests their time, and connections theirs between two of them."""
        transport = request.transport
        guard = None if transport is None else self._guards.get(transport)
        if guard is not None:
            guard.expect_nothing()
        try:
            if request.path in self._long_paths:
                return await handler(request)
            if guard is not None:
                self.door.prove(guard.visit)
            async with asyncio.timeout(REQUEST_S) as limit:
                return await handler(request)
        except TimeoutError:
            if not limit.expired():
                raise
            answer = web.Response(status=408, text="the request took too long")
            answer.force_close()
            return answer
        finally:
            if guard is not None:
                guard.expect_request(KEEP_ALIVE_S)

    async def _accept(
        self,
        listening: socket.socket,
        make: Callable[[], asyncio.Protocol],
        tls: ssl.SSLContext | None,
    ) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                accepted, peer = await loop.sock_accept(listening)
            except OSError as error:
                # No files are left, or the client was gone already.
                _log.warning("cannot accept a connection", reason=str(error))
                await asyncio.sleep(_EXHAUSTED_S)
                continue
            accepted.settimeout(0)
            # Closing the file alone would end nothing while a transport reads from it.
            visit = self.door.enter(str(peer[0]), partial(_shut, accepted), loop.time())
            if visit is None:
                accepted.close()
                continue
            self._begin(self._serve(accepted, visit, make, tls))

    async def _serve(
        self,
        accepted: socket.socket,
        visit: Visit,
        make: Callable[[], asyncio.Protocol],
        tls: ssl.SSLContext | None,
    ) -> None:
        limit_s = None if tls is None else HEAD_S
        first = self._first_protocol(_Guard(make(), visit, self._guards, self.door))
        try:
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: first,
                accepted,
                ssl=tls,
                ssl_handshake_timeout=limit_s,
                ssl_shutdown_timeout=limit_s,
            )
        except OSError as error:
            # Clients that try TLS and plain HTTP at once give one of them up: nothing to tell.
            _log.debug("no connection came about", reason=str(error))
            accepted.close()
            self.door.leave(visit)
        except BaseException:
            accepted.close()
            self.door.leave(visit)
            raise

    def _first_protocol(self, guard: _Guard) -> asyncio.Protocol:
        if self._front is None:
            return guard
        visit = guard.visit
        return self._front(
            lambda: guard, partial(self.door.prove, visit), partial(self.door.leave, visit)
        )

    def _begin(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class _Guard(asyncio.Protocol):
    """In front of aiohttp's protocol: ends the connection when no request comes in time."""

    def __init__(
        self,
        inner: asyncio.Protocol,
        visit: Visit,
        guards: dict[asyncio.BaseTransport, _Guard],
        door: Door,
    ) -> None:
        self.visit = visit
        self._inner = inner
        self._guards = guards
        self._door = door
        self._transport: asyncio.BaseTransport | None = None
        self._timer: asyncio.TimerHandle | None = None

    def expect_request(self, limit_s: float) -> None:
        """End the connection unless a whole head comes in time, however it trickles."""
        self.expect_nothing()
        if self._transport is not None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(limit_s, self.visit.shut)

    def expect_nothing(self) -> None:
        """Stop the clock."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._guards[transport] = self
        self.expect_request(HEAD_S)
        self._inner.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        return self._inner.eof_received()

    def pause_writing(self) -> None:
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._inner.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self.expect_nothing()
        if self._transport is not None:
            self._guards.pop(self._transport, None)
            self._transport = None
        self._door.leave(self.visit)
        self._inner.connection_lost(exc)


def _bound(family: int, address: tuple[str | int, ...]) -> socket.socket:
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listening.settimeout(0)
        listening.bind(address)
        listening.listen(_BACKLOG)
    except BaseException:
        listening.close()
        raise
    return listening


def _shut(accepted: socket.socket) -> None:
    with suppress(OSError):
        accepted.shutdown(socket.SHUT_RDWR)
