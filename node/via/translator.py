"""The translator of a router for 4via6 sites: an interface of its own, which the kernel routes by.

    peer ── tunnel ── kernel ──IPv6──► translator ──IPv4──► kernel ── LAN
                      masquerade                            masquerade

The kernel hides all peers behind the translator's one IPv6 address before a packet gets here, and
behind the host's own address after, so nothing has to be remembered here: one IPv4 address stands
for each site.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import select
import socket
import threading
from typing import TYPE_CHECKING, Final

from control.wire.tailnet_address import VIA_IPV6
from node.datapath.tun import Offloads, Tun
from node.datapath.virtio import HEADER_BYTES, NO_OFFLOAD
from node.hostnet.host import HostNetworkError
from node.hostnet.netlink import IPRoute, NetlinkError
from node.hostnet.plan import DEFAULT_MTU, route_table, translator_name
from node.via.translate import destination_in_ipv6, to_ipv4, to_ipv6

if TYPE_CHECKING:
    from collections.abc import Iterable

    from node.hostnet.plan import IPNetwork

__all__ = ["Sites", "Translator", "via_routes"]

_OWN: Final = ipaddress.IPv6Address("64:ff9b:1::c000:1")
"""The translator's address, in the prefix for local use of RFC 8215."""
_STAND_INS: Final = ipaddress.IPv4Network("192.0.0.0/29")
"""For hosts that translate on the host itself (RFC 7335): nobody else uses them."""
_PREFIX_BYTES: Final = 12
_MTU: Final = DEFAULT_MTU
_BURST: Final = 64
_MOST_BYTES: Final = 65536


def via_routes(networks: Iterable[IPNetwork]) -> tuple[ipaddress.IPv6Network, ...]:
    """Return those that are IPv4 subnets of a site."""
    return tuple(
        network
        for network in networks
        if isinstance(network, ipaddress.IPv6Network)
        and network.prefixlen >= 8 * _PREFIX_BYTES
        and network.subnet_of(VIA_IPV6)
    )


class Sites:
    """Which IPv4 address stands for which site."""

    def __init__(self, routes: Iterable[ipaddress.IPv6Network]) -> None:
        """Give each site an address. Raises HostNetworkError when there are too few."""
        self._routes = tuple(routes)
        prefixes = sorted({route.network_address.packed[:_PREFIX_BYTES] for route in self._routes})
        stand_ins = list(_STAND_INS.hosts())
        if len(prefixes) > len(stand_ins):
            raise HostNetworkError(f"4via6: at most {len(stand_ins)} sites behind one router")
        self._stand_ins = {
            prefix: ip.packed for prefix, ip in zip(prefixes, stand_ins, strict=False)
        }
        self._prefixes = {ip: prefix for prefix, ip in self._stand_ins.items()}

    def translated(self, packet: bytes) -> bytes | None:
        """Return a packet of the kernel in the other version; None for what is not ours."""
        destination = destination_in_ipv6(packet)
        if destination:
            source = self._stand_ins.get(destination[:_PREFIX_BYTES])
            is_routed = any(ipaddress.IPv6Address(destination) in route for route in self._routes)
            return to_ipv4(packet, source) if source and is_routed else None
        prefix = self._prefixes.get(packet[16:20])
        return None if prefix is None else to_ipv6(packet, prefix, _OWN.packed)


class Translator:
    """Runs while there are routes of sites."""

    def __init__(self, interface: str) -> None:
        self._name = translator_name(interface)
        self._table = route_table(interface)
        self._routes: tuple[ipaddress.IPv6Network, ...] = ()
        self._sites = Sites(())
        self._tun: Tun | None = None
        self._wake = -1
        self._thread: threading.Thread | None = None

    def lead(self, routes: tuple[ipaddress.IPv6Network, ...]) -> None:
        """Translate for these routes. Raises TunError or HostNetworkError."""
        if routes == self._routes:
            return
        self._sites = Sites(routes)
        if self._tun is not None:
            # The interface takes its routes along.
            self.stop()
        if routes:
            self._start(routes)
        self._routes = routes

    def stop(self) -> None:
        """Take the interface away."""
        self._routes = ()
        if self._thread is not None:
            os.eventfd_write(self._wake, 1)
            self._thread.join()
            os.close(self._wake)
            self._thread = None
        if self._tun is not None:
            self._tun.close()
            self._tun = None

    def _start(self, routes: tuple[ipaddress.IPv6Network, ...]) -> None:
        self._tun = tun = Tun(self._name, Offloads.NONE)
        try:
            self._configure(routes)
        except (NetlinkError, OSError) as error:
            self.stop()
            raise HostNetworkError(f"{self._name}: {error}") from error
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._thread = threading.Thread(target=self._run, args=(tun,), name="via", daemon=True)
        self._thread.start()

    def _configure(self, routes: tuple[ipaddress.IPv6Network, ...]) -> None:
        with IPRoute() as ip:
            [index] = ip.link_lookup(ifname=self._name)
            ip.link("set", index=index, mtu=_MTU, state="up")
            own = {"address": str(_OWN), "prefixlen": 128, "family": socket.AF_INET6}
            ip.addr("add", index=index, flags=0x02, **own)
            networks: tuple[IPNetwork, ...] = (_STAND_INS, *routes)
            for route in networks:
                family = socket.AF_INET if route.version == 4 else socket.AF_INET6
                ip.route("replace", dst=str(route), oif=index, table=self._table, family=family)

    def _run(self, tun: Tun) -> None:
        epoll = select.epoll()
        for fd in (tun.fd, self._wake):
            epoll.register(fd, select.EPOLLIN)
        with epoll:
            while True:
                if any(fd == self._wake for fd, _ in epoll.poll()):
                    return
                for _ in range(_BURST):
                    try:
                        packet = os.read(tun.fd, _MOST_BYTES)[HEADER_BYTES:]
                    except OSError:
                        # Nothing more, or the interface is down.
                        break
                    other = self._sites.translated(packet)
                    if other is not None:
                        # A packet that the kernel does not take is lost like any other.
                        with contextlib.suppress(OSError):
                            os.writev(tun.fd, (NO_OFFLOAD, other))
