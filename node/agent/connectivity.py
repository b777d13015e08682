"""Keeps the node reachable: measures relays, chooses home, knows our own endpoints.

Runs in the event loop. Whoever owns it is told when there is something to report to the control
server, and gives fresh endpoints to the path book.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Final

from node.agent.measure import Measurer
from node.agent.port_mapping import PortMapping
from node.hostnet.gateway import default_gateway
from node.hostnet.host import local_addresses
from node.paths.birthday_rounds import OwnNat
from node.paths.netcheck.home import HomeChooser
from node.paths.own_endpoints import LocalAddresses, OwnEndpoints
from node.paths.prediction import predict
from node.relays.links import RelayLinks

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from control.keys import NodePrivate
    from control.wire import DerpMap
    from node.paths.netcheck.report import Report
    from node.paths.own_endpoints import OwnEndpoint
    from node.proxy.settings import ProxySettings
    from node.relays.links import Received
    from node.transport.endpoint import Endpoint

__all__ = ["Connectivity"]

LOG = logging.getLogger("postern.connectivity")
_FULL_EVERY_S: Final = 300.0
_EVERY_S: Final = 25.0
_LINK_CHECK_S: Final = 2.0
_HAS_IPV6: Final = Path("/proc/net/if_inet6")

_Addresses = tuple[ipaddress.IPv4Address | ipaddress.IPv6Address, ...]


class Connectivity:
    """Relays, home and endpoints of one node."""

    def __init__(
        self,
        private: NodePrivate,
        *,
        interface: str,
        port: int,
        send_stun: Callable[[bytes, Endpoint], None],
        on_received: Callable[[list[Received]], None],
        on_news: Callable[[], None],
        on_link_change: Callable[[], None],
        on_trouble: Callable[[int, str], None],
        maps_port: bool,
        proxies: ProxySettings,
    ) -> None:
        self._interface = interface
        self._port = port
        self._on_news = on_news
        self._on_link_change = on_link_change
        self._on_trouble = on_trouble
        self._loop = asyncio.get_running_loop()
        self.relays = RelayLinks(private, on_received, self._take_trouble, proxies=proxies)
        self.measurer = Measurer(send_stun, has_ipv6=_HAS_IPV6.exists(), proxies=proxies)
        self._home = HomeChooser()
        self._own = OwnEndpoints()
        self._derp_map: DerpMap | None = None
        self._addresses: _Addresses = ()
        self._wanted = asyncio.Event()
        self._full_at = float("-inf")
        self._port_mapping = PortMapping(port, self.refresh) if maps_port else None
        self.endpoints: tuple[OwnEndpoint, ...] = ()
        self.predicted: tuple[Endpoint, ...] = ()
        """Where our NAT may let us appear next: for peers to try, too vague for control."""
        self.own_nat: OwnNat | None = None
        """None while too few STUN servers answered to tell."""
        self.report: Report | None = None

    @property
    def home(self) -> int:
        """Our home region, 0 for none."""
        return self._home.home

    def configure(
        self, derp_map: DerpMap | None, homes: Mapping[bytes, int], authorities: str
    ) -> None:
        """Take the netmap's relays, the peers' home regions, and whom to trust, in PEM."""
        self.relays.configure(derp_map, homes, authorities)
        self.measurer.authorities = authorities
        if derp_map is not None and derp_map != self._derp_map:
            self._derp_map = derp_map
            self._full_at = float("-inf")
            self._wanted.set()

    def refresh(self) -> None:
        """Ask for fresh endpoints now."""
        self._wanted.set()

    async def run(self) -> None:
        """Measure at once, when asked, and every now and then."""
        watching = asyncio.create_task(self._watch_links(), name="links")
        try:
            while True:
                self._wanted.clear()
                if self._derp_map is not None:
                    await self._measure(self._derp_map)
                try:
                    async with asyncio.timeout(_EVERY_S):
                        await self._wanted.wait()
                except TimeoutError:
                    continue
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
            await self.measurer.close()
            await self.relays.close()
            if self._port_mapping is not None:
                await self._port_mapping.close()

    async def netcheck(self) -> Report | None:
        """Return a full report of now."""
        if self._derp_map is None:
            return None
        report = await self.measurer.measure(self._derp_map, self.home, is_full=True)
        self._complete(report, self.home)
        return report

    async def _measure(self, derp_map: DerpMap) -> None:
        now = self._loop.time()
        is_full = now - self._full_at >= _FULL_EVERY_S
        report = await self.measurer.measure(derp_map, self.home, is_full=is_full)
        if is_full:
            self._full_at = now
        home = self._home.choose(
            report.latency_ns,
            started_at=report.started_at,
            now=self._loop.time(),
            heard_at=self.relays.heard_at(),
            failed_at=self.relays.failed_at(),
        )
        self._complete(report, home)
        self.relays.set_home(home)
        self._addresses = await asyncio.to_thread(local_addresses, self._interface)
        gathered = tuple(
            self._own.gather(
                LocalAddresses(self._addresses, self._port, self._port),
                report,
                mapped=self._port_mapping.external if self._port_mapping is not None else None,
                now=self._loop.time(),
            )
        )
        self.report, self.endpoints = report, gathered
        self.predicted = predict(report.in_order4)
        self.own_nat = _own_nat(report)
        self._on_news()

    def _take_trouble(self, region: int, text: str) -> None:
        """Pass it on; a home that cannot be dialled is left at once, and everybody is told."""
        self._on_trouble(region, text)
        if not text or region != self.home:
            return
        regions = (self._derp_map.regions if self._derp_map is not None else None) or {}
        able = {n for n, r in regions.items() if r is not None and not r.no_measure_no_home}
        home = self._home.leave(self.relays.failed_at(), able, self._loop.time())
        if home != region:
            LOG.info("home relay: region %d in place of %d", home, region)
            self.relays.set_home(home)
            self._on_news()
            self.refresh()

    def _complete(self, report: Report, home: int) -> None:
        report.preferred_region = home
        report.os_has_ipv6 = _HAS_IPV6.exists()
        if self._port_mapping is not None:
            self._port_mapping.note_in(report)

    async def _look_at_router(self) -> None:
        if self._port_mapping is None:
            return
        try:
            await self._port_mapping.look(default_gateway(self._interface))
        except OSError as error:
            # The address went away between two looks; the next one comes soon.
            LOG.debug("port mapping: %s", error)

    async def _watch_links(self) -> None:
        """Notice addresses that come and go: then every path has to be proven anew."""
        while True:
            await self._look_at_router()
            await asyncio.sleep(_LINK_CHECK_S)
            found = await asyncio.to_thread(local_addresses, self._interface)
            if self._addresses and set(found) != set(self._addresses):
                LOG.info("our addresses changed")
                self._addresses = found
                self._own.forget()
                self._full_at = float("-inf")
                self._on_link_change()
                self._wanted.set()


def _own_nat(report: Report) -> OwnNat | None:
    if report.global4 is None or report.mapping_varies is None:
        return None
    return OwnNat(report.global4, is_hard=report.mapping_varies)
