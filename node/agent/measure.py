"""Measures relays and our own addresses: the driver of `node.paths.netcheck`.

Questions leave from the sockets that carry WireGuard, in the packet loop; the run itself lives in
the agent's event loop. Where UDP tells nothing, the time of a TLS handshake stands in for it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from functools import partial
from typing import TYPE_CHECKING, Final

from node.paths.netcheck.plan import incremental_plan, initial_plan, stun_port
from node.paths.netcheck.report import Report
from node.paths.netcheck.run import Ask, FallbackWanted, Finished, NetcheckRun
from node.proxy.settings import DIRECT, ProxyError, ProxySettings
from node.relays.address import relay_addresses, tls_context
from node.transport.endpoint import Endpoint
from relay.dial import open_connection

if TYPE_CHECKING:
    from collections.abc import Callable

    from control.wire import DerpMap, DerpNode

__all__ = ["Measurer"]

LOG = logging.getLogger("postern.netcheck")
_FALLBACK_S: Final = 2.0


class Measurer:
    """Runs one netcheck at a time; who asks meanwhile gets the same report."""

    def __init__(
        self,
        send: Callable[[bytes, Endpoint], None],
        *,
        has_ipv6: bool,
        proxies: ProxySettings = DIRECT,
    ) -> None:
        self._send = send
        self._proxies = proxies
        self._has_ipv6 = has_ipv6
        self._loop = asyncio.get_running_loop()
        self._run: NetcheckRun | None = None
        self._task: asyncio.Task[Report] | None = None
        self._wake = asyncio.Event()
        self._lookups: dict[tuple[str, int, bool], asyncio.Task[Endpoint | None]] = {}
        self.authorities = ""
        """Whom relays' certificates may come from besides the system's, PEM."""
        self.last: Report | None = None

    def stun(self, datagram: bytes, now: float) -> None:
        """Take a STUN datagram, with the time of its arrival."""
        if self._run is not None and self._run.receive(datagram, now):
            self._wake.set()

    async def measure(self, derp_map: DerpMap, home: int, *, is_full: bool) -> Report:
        """Return a report of now; a full one asks every region."""
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(
                self._measure(derp_map, home, is_full=is_full), name="netcheck"
            )
        return await asyncio.shield(self._task)

    async def close(self) -> None:
        """Give up a run."""
        tasks = [*self._lookups.values(), *([self._task] if self._task is not None else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _measure(self, derp_map: DerpMap, home: int, *, is_full: bool) -> Report:
        now = self._loop.time()
        report = Report(started_at=now)
        if is_full or self.last is None:
            plan = initial_plan(derp_map, ipv6=self._has_ipv6)
        else:
            plan = incremental_plan(derp_map, self.last, home, ipv6=self._has_ipv6)
        if plan:
            run = NetcheckRun(plan, report, os.urandom, is_full=is_full, now=now)
            self._run = run
            asking: set[asyncio.Task[None]] = set()
            try:
                await self._drive(run, derp_map, report, asking)
            finally:
                self._run = None
                for task in asking:
                    task.cancel()
                for outcome in await asyncio.gather(*asking, return_exceptions=True):
                    if isinstance(outcome, Exception):
                        raise outcome
        self.last = report
        return report

    async def _drive(
        self,
        run: NetcheckRun,
        derp_map: DerpMap,
        report: Report,
        asking: set[asyncio.Task[None]],
    ) -> None:
        while True:
            self._wake.clear()
            run.on_deadline(self._loop.time())
            while (event := run.next_event()) is not None:
                match event:
                    case Ask() as question:
                        # A name server that does not answer must not hold up the other questions.
                        asking.add(asyncio.create_task(self._ask(run, derp_map, question)))
                    case FallbackWanted(regions):
                        await asyncio.gather(
                            *(self._time_tls(derp_map, region, report) for region in regions)
                        )
                        run.fallback_done()
                    case Finished():
                        return
            due = run.deadline()
            try:
                async with asyncio.timeout_at(due):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def _ask(self, run: NetcheckRun, derp_map: DerpMap, question: Ask) -> None:
        probe = question.probe
        region = (derp_map.regions or {}).get(probe.region)
        nodes = (region.nodes or ()) if region is not None else ()
        node = next((node for node in nodes if node.name == probe.node_name), None)
        endpoint = await self._look_up(node, is_ipv6=probe.is_ipv6) if node is not None else None
        if endpoint is None:
            run.not_sent(question, self._loop.time())
            self._wake.set()
            return
        run.sent(question, self._loop.time())
        self._send(question.datagram, endpoint)

    async def _look_up(self, node: DerpNode, *, is_ipv6: bool) -> Endpoint | None:
        """Resolve a relay; a question that still waits for its answer is not asked again."""
        text = (node.ipv6 if is_ipv6 else node.ipv4) or node.host_name
        asked = (text, stun_port(node), is_ipv6)
        if asked not in self._lookups:
            self._lookups[asked] = task = asyncio.create_task(
                self._resolve(*asked), name=f"lookup-{text}"
            )
            task.add_done_callback(lambda _: self._lookups.pop(asked, None))
        return await asyncio.shield(self._lookups[asked])

    async def _resolve(self, host: str, port: int, is_ipv6: bool) -> Endpoint | None:  # noqa: FBT001  the key
        family = socket.AF_INET6 if is_ipv6 else socket.AF_INET
        try:
            found = await self._loop.getaddrinfo(host, port, family=family, type=socket.SOCK_DGRAM)
        except (OSError, ValueError) as error:
            # A ValueError is a name that no resolver could be asked for.
            LOG.debug("relay %s: %s", host, error)
            return None
        return Endpoint.from_text(str(found[0][4][0]), port) if found else None

    async def _time_tls(self, derp_map: DerpMap, region: int, report: Report) -> None:
        tls = partial(tls_context, self.authorities)
        try:
            addresses = relay_addresses(derp_map, region, tls, self._proxies)
        except ProxyError as error:
            LOG.debug("relay region %d: %s", region, error)
            return
        for address in addresses:
            began = self._loop.time()
            try:
                async with asyncio.timeout(_FALLBACK_S):
                    opened = await open_connection(address, _Opened)
            except (OSError, TimeoutError) as error:
                LOG.debug("relay %s: %s", address.host, error)
                continue
            report.add_https_latency(region, round((self._loop.time() - began) * 1e9))
            opened.close()
            return


class _Opened(asyncio.Protocol):
    """A connection that was worth nothing but the time it took."""

    _transport: asyncio.BaseTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def close(self) -> None:
        self._transport.close()
