"""Which addresses of ours to tell others, and in what order (relay reference 3.8)."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Final

from control.wire.tailnet_address import TAILNET
from node.transport.endpoint import Endpoint

if TYPE_CHECKING:
    from collections.abc import Iterable
    from ipaddress import IPv4Address, IPv6Address

    from node.paths.netcheck.report import Report

__all__ = ["EndpointKind", "LocalAddresses", "OwnEndpoint", "OwnEndpoints"]

CACHE_S: Final = 310.0
PORTS_PER_ADDRESS: Final = 6


class EndpointKind(IntEnum):
    """Where an endpoint comes from; values as on the wire to control."""

    LOCAL = 1
    STUN = 2
    PORT_MAPPED = 3
    STUN4_LOCAL_PORT = 4
    EXPLICIT = 5


@dataclass(frozen=True, slots=True)
class OwnEndpoint:
    """An address of ours and how we know it."""

    endpoint: Endpoint
    kind: EndpointKind


@dataclass(frozen=True, slots=True)
class LocalAddresses:
    """Interface addresses and the ports the sockets of each family are bound to."""

    addresses: tuple[IPv4Address | IPv6Address, ...]
    port4: int
    port6: int
    is_port_fixed: bool = False
    """Whether an operator chose the port, and so may have forwarded it."""


class OwnEndpoints:
    """Puts the list together and remembers what was seen lately."""

    def __init__(self, own_tunnel_addresses: Iterable[IPv4Address | IPv6Address] = ()) -> None:
        self._own_tunnel = frozenset(own_tunnel_addresses)
        self._seen: dict[Endpoint, tuple[float, EndpointKind]] = {}

    def gather(
        self,
        local: LocalAddresses,
        report: Report | None,
        *,
        mapped: Endpoint | None = None,
        explicit: Iterable[Endpoint] = (),
        now: float,
    ) -> list[OwnEndpoint]:
        """Return our endpoints, best first, each once."""
        found: dict[Endpoint, EndpointKind] = {}
        if mapped is not None:
            found.setdefault(mapped, EndpointKind.PORT_MAPPED)
        for endpoint, kind in self._from_report(local, report):
            found.setdefault(endpoint, kind)
        for endpoint, kind in found.items():
            self._seen[endpoint] = (now, kind)
        for endpoint, kind in self._cached(now):
            found.setdefault(endpoint, kind)
        for endpoint in explicit:
            found.setdefault(endpoint, EndpointKind.EXPLICIT)
        for endpoint in self._local(local):
            found.setdefault(endpoint, EndpointKind.LOCAL)
        return [OwnEndpoint(endpoint, kind) for endpoint, kind in found.items()]

    def forget(self) -> None:
        """Drop what was seen: our network changed."""
        self._seen.clear()

    def _from_report(
        self, local: LocalAddresses, report: Report | None
    ) -> Iterable[tuple[Endpoint, EndpointKind]]:
        if report is None:
            return
        for best, seen in ((report.global4, report.seen4), (report.global6, report.seen6)):
            if best is not None:
                yield best, EndpointKind.STUN
            for endpoint, count in seen.most_common():
                if count > 1:
                    yield endpoint, EndpointKind.STUN
        # A port that differs for each destination is useless, but a forwarded one is not seen.
        if report.mapping_varies and report.global4 is not None and local.is_port_fixed:
            forwarded = Endpoint(report.global4.ip, local.port4)
            yield forwarded, EndpointKind.STUN4_LOCAL_PORT

    def _cached(self, now: float) -> Iterable[tuple[Endpoint, EndpointKind]]:
        ports: Counter[IPv4Address | IPv6Address] = Counter()
        latest_first = sorted(self._seen.items(), key=lambda item: -item[1][0])
        for endpoint, (at, kind) in latest_first:
            ports[endpoint.ip] += 1
            if now - at > CACHE_S or ports[endpoint.ip] > PORTS_PER_ADDRESS:
                del self._seen[endpoint]
            else:
                yield endpoint, kind

    def _local(self, local: LocalAddresses) -> list[Endpoint]:
        usable = [ip for ip in local.addresses if not self._is_ours_alone(ip)]
        outward = [ip for ip in usable if not ip.is_loopback]
        return [
            Endpoint(ip, local.port4 if ip.version == 4 else local.port6)
            for ip in outward or usable
        ]

    def _is_ours_alone(self, ip: IPv4Address | IPv6Address) -> bool:
        """Whether an address leads into a tailnet, ours or another, or nowhere without a scope."""
        in_tailnet = any(ip in network for network in TAILNET)
        return ip in self._own_tunnel or in_tailnet or (ip.version == 6 and ip.is_link_local)
