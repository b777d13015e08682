"""Clients of the control benchmark: one process, many nodes, each with a real control client."""

from __future__ import annotations

import asyncio
import hashlib
import os
import random
import resource
import sys
import time
from enum import Enum, auto
from typing import TYPE_CHECKING, Any

from control.keys import DiscoPrivate, MachinePrivate, MachinePublic, NodePrivate
from control.wire import Hostinfo, MapRequest
from node.session.driver import (
    Backoff,
    ControlClient,
    ControlLostError,
    ControlUrl,
    fetch_server_key,
)
from node.session.login import Login, Registered

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection

    from control.wire import MapResponse

__all__ = ["FleetOrder", "run_fleet", "seeded_key"]

_AT_ONCE = 32
_QUIET_S = 2.0


class FleetOrder(Enum):
    """What the measuring process asks for."""

    READY = auto()
    CONNECT = auto()
    SETTLE = auto()
    WATCH_PORT = auto()
    WATCH_NAME = auto()
    WATCH_GONE = auto()
    ARRIVALS = auto()
    JOIN = auto()


def seeded_key(kind: str, number: int) -> bytes:
    """Return the bytes of a key that follows from a node's number."""
    return hashlib.sha256(f"{kind} {number}".encode()).digest()


def run_fleet(pipe: Connection, numbers: list[int], port: int) -> None:
    """Serve orders until the process is ended."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 65536), hard))
    asyncio.run(_Fleet(numbers, ControlUrl("http", "127.0.0.1", port)).serve(pipe))


class _Fleet:
    def __init__(self, numbers: list[int], url: ControlUrl) -> None:
        self._numbers = numbers
        self._url = url
        self._tasks: set[asyncio.Task[None]] = set()
        self._key = MachinePublic.zero()
        self._heard_at = time.monotonic()
        self._due: set[int] = set()
        self._arrivals: list[float] = []
        self._others = 0
        self._is_hit: Callable[[MapResponse], bool] = lambda _: False
        self._may_hear: set[int] = set()
        self._all_arrived = asyncio.Event()

    async def serve(self, pipe: Connection) -> None:
        while True:
            order, values = await asyncio.to_thread(pipe.recv)
            pipe.send(await self._obey(order, **values))

    async def _obey(self, order: FleetOrder, **values: Any) -> Any:
        match order:
            case FleetOrder.READY:
                self._key = await fetch_server_key(self._url)
            case FleetOrder.CONNECT:
                await self._connect_all()
            case FleetOrder.SETTLE:
                while time.monotonic() - self._heard_at < _QUIET_S:  # noqa: ASYNC110  quiet is the event
                    await asyncio.sleep(0.1)
            case FleetOrder.WATCH_PORT:
                port = values["port"]
                self._watch(values["affected"], lambda message: _has_port(message, port))
            case FleetOrder.WATCH_NAME:
                name = values["name"]
                self._watch(values["watchers"], lambda message: _has_name(message, name))
            case FleetOrder.WATCH_GONE:
                node_id = values["node_id"]
                self._watch(
                    values["watchers"], lambda message: node_id in (message.peers_removed or ())
                )
            case FleetOrder.ARRIVALS:
                async with asyncio.timeout(60):
                    await self._all_arrived.wait()
                # What is not due any more would come now.
                await asyncio.sleep(0.3)
                return self._arrivals, self._others
            case FleetOrder.JOIN:
                return await self._join(values["name"], values["key"])
        return None

    def _watch(self, numbers: list[int], is_hit: Callable[[MapResponse], bool]) -> None:
        self._due = set(self._numbers) & set(numbers)
        self._may_hear = set(self._due)
        self._arrivals, self._others = [], 0
        self._is_hit = is_hit
        self._all_arrived.clear()
        if not self._due:
            self._all_arrived.set()

    async def _connect_all(self) -> None:
        slots, first = asyncio.Semaphore(_AT_ONCE), asyncio.Queue[int]()
        for number in self._numbers:
            self._start(self._live(number, slots, first))
        for _ in self._numbers:
            await first.get()

    def _start(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            # A client that fails would only make the numbers look better.
            print(f"client failed: {task.exception()!r}", file=sys.stderr, flush=True)
            os._exit(3)

    async def _live(self, number: int, slots: asyncio.Semaphore, first: asyncio.Queue[int]) -> None:
        backoff, is_first = Backoff(random.random), True
        while is_first:
            await slots.acquire()
            try:
                is_first = await self._poll(number, slots, first)
            except ControlLostError:
                # As a node does: come back a little later, until the first map is there.
                slots.release()
                await asyncio.sleep(backoff.next_s())

    async def _poll(self, number: int, slots: asyncio.Semaphore, first: asyncio.Queue[int]) -> bool:
        """Follow one stream; return whether it ended before its first message."""
        is_first = True
        async with ControlClient.connect(
            self._url,
            machine=MachinePrivate(seeded_key("machine", number)),
            server=self._key,
            entropy=os.urandom,
        ) as client:
            request = MapRequest(
                version=113,
                compress="zstd",
                keep_alive=True,
                node_key=NodePrivate(seeded_key("node", number)).public,
                disco_key=DiscoPrivate(seeded_key("disco", number)).public,
                stream=True,
            )
            async for message in client.poll(request):
                self._heard_at = time.monotonic()
                if is_first:
                    is_first = False
                    slots.release()
                    first.put_nowait(number)
                    continue
                self._note(number, message)
        return is_first

    def _note(self, number: int, message: MapResponse) -> None:
        if number in self._due and self._is_hit(message):
            self._due.discard(number)
            self._arrivals.append(time.monotonic())
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


def _has_port(message: MapResponse, port: int) -> bool:
    filters = message.packet_filters or {}
    return any(
        ports.first == port
        for rules in filters.values()
        for rule in rules or ()
        for _, ports in rule.dst_ports
    )


def _has_name(message: MapResponse, name: str) -> bool:
    return any(peer.name == name for peer in message.peers_changed or ())
