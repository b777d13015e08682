"""Clients of the control benchmark: one process, many nodes, each with a connection of its own.

Each does what a node does on the wire: the upgrade, Noise, HTTP/2, zstd. Of a message it looks for
the bytes that it waits for and reads no more, because it shares the processor with the server
that is measured.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import random
import resource
import sys
import time
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, TypeVar

from control.keys import DiscoPrivate, MachinePrivate, MachinePublic, NodePrivate
from control.wire import Hostinfo, MapRequest
from control.wire.framing import KEEP_ALIVE_JSON, MapFrameDecoder, dump_json
from node.session.channel import BodyReceived, ClientChannel, ResponseStarted
from node.session.driver import Backoff, ControlClient, ControlUrl, fetch_server_key
from node.session.login import Login, Registered

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection

__all__ = ["FleetOrder", "run_fleet", "seeded_key"]

_AT_ONCE = 32
_CONNECT_S = 120.0
_QUIET_S = 2.0
T = TypeVar("T")


class FleetOrder(Enum):
    """What the measuring process asks for."""

    READY = auto()
    CONNECT = auto()
    SETTLE = auto()
    WATCH = auto()
    ARRIVALS = auto()
    JOIN = auto()
    RECONNECT = auto()
    CPU = auto()


def seeded_key(kind: str, number: int) -> bytes:
    """Return the bytes of a key that follows from a node's number."""
    return hashlib.sha256(f"{kind} {number}".encode()).digest()


def run_fleet(pipe: Connection, numbers: list[int], port: int) -> None:
    """Serve orders until the process is ended."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 65536), hard))
    asyncio.run(_Fleet(numbers, ControlUrl("http", "127.0.0.1", port)).serve(pipe))


class _Client(asyncio.Protocol):
    """One node's map stream. `on_message` hears of each message that is no keepalive.

    `on_shed` hears of a connection that ended before its first message: the server may shed
    connections that take long to say what they want, and a node tries again.
    """

    def __init__(
        self,
        channel: ClientChannel,
        request: bytes,
        on_message: Callable[[bytes], None],
        on_shed: Callable[[], object],
    ) -> None:
        self._channel = channel
        self._request = request
        self._on_message = on_message
        self._on_shed = on_shed
        self._is_served = False
        self._decoder = MapFrameDecoder(is_compressed=True)
        self._transport: asyncio.Transport | None = None
        self._is_asked = False
        self._is_leaving = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if isinstance(transport, asyncio.Transport):
            self._transport = transport
            transport.write(self._channel.transmit())

    def data_received(self, data: bytes) -> None:
        for event in self._channel.receive(data):
            match event:
                case ResponseStarted(status=status) if status != 200:
                    raise RuntimeError(f"the server answered {status}")
                case BodyReceived(data=piece):
                    for document in self._decoder.receive(piece):
                        if document != KEEP_ALIVE_JSON:
                            self._is_served = True
                            self._on_message(document)
                case _:
                    pass
        if self._channel.is_established and not self._is_asked:
            self._is_asked = True
            self._channel.request("POST", "/machine/map", self._request)
        if self._transport is not None and (out := self._channel.transmit()):
            self._transport.write(out)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._is_served:
            self._on_shed()
        elif not self._is_leaving:
            # A client that fails would only make the numbers look better.
            print(f"client lost its connection: {exc!r}", file=sys.stderr, flush=True)
            os._exit(3)

    def leave(self) -> None:
        self._is_leaving = True
        if self._transport is not None:
            self._transport.abort()


class _Fleet:
    def __init__(self, numbers: list[int], url: ControlUrl) -> None:
        self._numbers = numbers
        self._url = url
        self._clients: dict[int, _Client] = {}
        self._first: dict[int, asyncio.Future[float | None]] = {}
        self._key = MachinePublic.zero()
        self._heard_at = time.monotonic()
        self._due: set[int] = set()
        self._arrivals: list[float] = []
        self._others = 0
        self._wanted = b""
        self._may_hear: set[int] = set()
        self._all_arrived = asyncio.Event()
        self._shed = 0

    async def serve(self, pipe: Connection) -> None:
        asyncio.get_running_loop().set_exception_handler(_give_up)
        while True:
            order, values = await asyncio.to_thread(pipe.recv)
            pipe.send(await self._obey(order, **values))

    async def _obey(self, order: FleetOrder, **values: Any) -> Any:
        match order:
            case FleetOrder.READY:
                self._key = await fetch_server_key(self._url)
            case FleetOrder.CONNECT:
                await self._connect_all(at_once=_AT_ONCE)
            case FleetOrder.RECONNECT:
                for client in self._clients.values():
                    client.leave()
                began = time.monotonic()
                self._shed = 0
                arrived = await self._connect_all(at_once=len(self._numbers))
                return [at - began for at in arrived], self._shed
            case FleetOrder.SETTLE:
                while time.monotonic() - self._heard_at < _QUIET_S:  # noqa: ASYNC110  quiet is the event
                    await asyncio.sleep(0.1)
            case FleetOrder.WATCH:
                self._watch(values["numbers"], values["text"].encode())
            case FleetOrder.ARRIVALS:
                async with asyncio.timeout(120):
                    await self._all_arrived.wait()
                # What is not due any more would come now.
                await asyncio.sleep(0.3)
                return self._arrivals, self._others
            case FleetOrder.JOIN:
                return await self._join(values["name"], values["key"])
            case FleetOrder.CPU:
                return time.process_time()
        return None

    def _watch(self, numbers: list[int], text: bytes) -> None:
        self._due = set(self._numbers) & set(numbers)
        self._may_hear = set(self._due)
        self._arrivals, self._others = [], 0
        self._wanted = text
        self._all_arrived.clear()
        if not self._due:
            self._all_arrived.set()

    async def _connect_all(self, *, at_once: int) -> list[float]:
        """Connect every node; return when each had its first map."""
        slots = asyncio.Semaphore(at_once)

        async def connect(number: int) -> float:
            backoff = Backoff(random.random)
            async with slots, asyncio.timeout(_CONNECT_S):
                while (arrived := await self._connect(number)) is None:
                    self._shed += 1
                    await asyncio.sleep(backoff.next_s())
                return arrived

        return list(await asyncio.gather(*map(connect, self._numbers)))

    async def _connect(self, number: int) -> float | None:
        """Connect a node; return when it had its first map, None where the server shed it."""
        loop = asyncio.get_running_loop()
        first: asyncio.Future[float | None] = loop.create_future()
        self._first[number] = first
        request = MapRequest(
            version=113,
            compress="zstd",
            keep_alive=True,
            node_key=NodePrivate(seeded_key("node", number)).public,
            disco_key=DiscoPrivate(seeded_key("disco", number)).public,
            stream=True,
        )
        channel = ClientChannel(
            host=self._url.authority,
            version=113,
            machine=MachinePrivate(seeded_key("machine", number)),
            server=self._key,
            entropy=os.urandom,
        )
        body = dump_json(request.to_json())
        _, self._clients[number] = await loop.create_connection(
            lambda: _Client(
                channel,
                body,
                lambda document: self._note(number, document),
                lambda: _set_once(first, None),
            ),
            self._url.host,
            self._url.port,
        )
        return await first

    def _note(self, number: int, document: bytes) -> None:
        self._heard_at = time.monotonic()
        if _set_once(self._first[number], self._heard_at):
            return
        if number in self._due and self._wanted in document:
            self._due.discard(number)
            self._arrivals.append(self._heard_at)
            if not self._due:
                self._all_arrived.set()
        elif number not in self._may_hear:
            self._others += 1

    async def _join(self, name: str, key: str) -> float | None:
        if self._numbers[0] != 1:
            return None
        async with ControlClient.connect(
            self._url,
            machine=MachinePrivate.generate(os.urandom),
            server=self._key,
            entropy=os.urandom,
        ) as client:
            began = time.monotonic()
            login = Login(
                node_key=NodePrivate.generate(os.urandom),
                hostinfo=Hostinfo({"Hostname": name, "OS": "linux"}),
                entropy=os.urandom,
                auth_key=key,
            )
            outcome = await client.log_in(login, lambda _: None)
            if not isinstance(outcome, Registered):
                raise RuntimeError(f"not let in: {outcome}")  # noqa: TRY004  an outcome, no type error
        return began


def _set_once(future: asyncio.Future[T], value: T) -> bool:
    """Set a result unless there is one; return whether there was none."""
    if future.done():
        return False
    future.set_result(value)
    return True


def _give_up(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    print(f"client failed: {context}", file=sys.stderr, flush=True)
    os._exit(3)
