"""All connections of one server: shared buffer, batched writes, one timer, admission.

Reading and forwarding happen in the same turn of the event loop; writing is put off to the end
of it, so everything that arrived for one client in that turn leaves in one system call.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, Protocol

from relay.admission import NoVerdictError
from relay.router import Router
from relay.session_server import FRONT_BYTES, AdmissionAsked, ServerSession

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from relay.admission import Admission
    from relay.counters import Counters
    from relay.frames import IpAddress
    from relay.ratelimit import RateLimit
    from relay.welcome import ServerIdentity

__all__ = ["Hub", "Link"]

log = logging.getLogger("relay")

SWEEP_S = 0.5
SAMPLE_S = 10.0
READ_BYTES = 256 * 1024
EAGER_BYTES = 16 * 1024
"""A chunk this large is a batch of its own: flush at once rather than hold more of them."""


class Link(Protocol):
    """One transport: what the hub asks of a TCP or a WebSocket connection."""

    session: ServerSession

    def flush(self) -> None:
        """Write what the outbox holds and act on the session's events."""
        ...

    def unsent_bytes(self) -> int:
        """Return how much the transport still has to write."""
        ...

    def round_trip_ms(self) -> float | None:
        """Return the kernel's estimate of the round trip, None where there is none."""
        ...

    def resume(self) -> None:
        """Go on reading if the session wants input."""
        ...

    def close(self) -> None:
        """Close after what was written is sent."""
        ...


class Hub:
    """Owns the router and whoever is connected; runs inside one event loop."""

    def __init__(self, identity: ServerIdentity, counters: Counters, admission: Admission) -> None:
        self.identity = identity
        self.counters = counters
        self.router = Router(counters)
        self.admission = admission
        self.buffer = bytearray(FRONT_BYTES + READ_BYTES)
        """Shared by all connections: the loop fills it for one, which empties it at once."""
        self.read_room = memoryview(self.buffer)[FRONT_BYTES:]
        """Where reads go; in front of it is room for what a frame began with earlier."""
        self.links: dict[Link, int] = {}
        """Each link with the unsent bytes seen at the last sweep."""
        self._rate: RateLimit = identity.rate
        self._dirty: set[Link] = set()
        self._flush_scheduled = False
        self._tasks: set[asyncio.Task[None]] = set()

    def now(self) -> float:
        """Return the loop's clock, the one clock of all sessions."""
        return asyncio.get_running_loop().time()

    def open_session(
        self, link: Link, address: IpAddress, port: int, *, is_ideal: bool = True
    ) -> ServerSession:
        """Create the session of a link and start timing it."""
        self.counters.accepts += 1
        session = ServerSession(
            self.identity,
            self.router,
            address=address,
            port=port,
            on_dirty=lambda: self._mark(link),
            now=self.now(),
            is_ideal=is_ideal,
        )
        session.set_rate(self._rate, self.now())
        self.links[link] = 0
        return session

    def forget(self, link: Link) -> None:
        """Drop a link whose transport is gone."""
        self.links.pop(link, None)
        self._dirty.discard(link)

    def _mark(self, link: Link) -> None:
        self._dirty.add(link)
        if not self._flush_scheduled:
            self._flush_scheduled = True
            asyncio.get_running_loop().call_soon(self.flush_all)

    def flush_all(self) -> None:
        """Write everything that waits, one write a link."""
        self._flush_scheduled = False
        dirty, self._dirty = self._dirty, set()
        for link in dirty:
            if link in self.links:
                link.flush()

    def ask_admission(self, link: Link, asked: AdmissionAsked) -> None:
        """Start asking whether a client may stay; the link hears of the verdict by `resume`."""
        # Mesh peers proved the region's secret, which is more than any client can show.
        if link.session.is_mesh_peer:
            self._apply(link, admitted=True)
            return
        self.spawn(self._ask(link, asked))

    async def _ask(self, link: Link, asked: AdmissionAsked) -> None:
        # Whatever went wrong over there, an unanswered question of a newcomer is a no.
        self._apply(link, admitted=await self._verdict(asked) or False)

    async def _verdict(self, asked: AdmissionAsked) -> bool | None:
        """Return what admission says of a client, None if it says nothing."""
        try:
            return await self.admission.admits(asked)
        except NoVerdictError as error:
            log.warning("no verdict about %s: %s", asked.key.hex()[:8], error)
        except Exception:
            log.exception("admission failed")
        return None

    def _apply(self, link: Link, *, admitted: bool) -> None:
        if link not in self.links or link.session.is_closed:
            return
        if admitted:
            link.session.admit(self.now())
        else:
            log.info("client %s refused", link.session.key.hex()[:8])
            link.session.refuse("not admitted")
        link.resume()

    def spawn(self, coroutine: Coroutine[None, None, None]) -> None:
        """Run a coroutine as long as the hub lives."""
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def sweep_forever(self) -> None:
        """Serve the deadlines of all sessions, a few times a second."""
        while True:
            await asyncio.sleep(SWEEP_S)
            self.sweep(self.now())

    def sweep(self, now: float) -> None:
        """Note progress of blocked links and run what is due."""
        for link, before in list(self.links.items()):
            session = link.session
            if session.outbox.is_blocked:
                unsent = link.unsent_bytes()
                if unsent < before:
                    session.note_progress(now)
                self.links[link] = unsent
            due = session.deadline()
            if due is not None and due <= now:
                session.on_deadline(now)

    async def sample_forever(self) -> None:
        """Note every client's round trip from time to time."""
        while True:
            await asyncio.sleep(SAMPLE_S)
            self.sample()

    def sample(self) -> None:
        """Note every client's round trip."""
        for link in self.links:
            round_trip_ms = link.round_trip_ms()
            if round_trip_ms is not None:
                self.counters.note_round_trip(round_trip_ms)

    async def recheck_forever(self, every_s: float) -> None:
        """Ask about clients again from time to time, so that a removed node loses the relay.

        Only a no closes: while nobody answers, whoever was let in stays.
        """
        while True:
            await asyncio.sleep(every_s)
            for link in list(self.links):
                await self._recheck(link)

    async def _recheck(self, link: Link) -> None:
        connection = link.session.connection
        if connection is None or connection.is_mesh_peer or link.session.is_closed:
            return
        asked = AdmissionAsked(connection.key, connection.address, link.session.client_info)
        if await self._verdict(asked) is False and not link.session.is_closed:
            link.session.refuse("no longer admitted")

    def set_rate(self, rate: RateLimit) -> None:
        """Apply another per-client rate to everybody, now and later."""
        self._rate = rate
        for link in self.links:
            link.session.set_rate(rate, self.now())

    async def move_clients(self, within_s: float) -> None:
        """Send clients away one after the other, telling each when its turn comes."""
        links = [link for link in self.links if not link.session.is_closed]
        if not links:
            return
        step_s = within_s / len(links)
        for turn, link in enumerate(links):
            link.session.announce_restart(round(turn * step_s * 1000), round(within_s * 2000))
        self.flush_all()
        for link in links:
            await asyncio.sleep(step_s)
            link.close()

    async def close(self) -> None:
        """Close every link and end every task."""
        for link in list(self.links):
            link.close()
        for task in list(self._tasks):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
