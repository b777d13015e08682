"""The result of one netcheck: field names as the field prints them, latencies in nanoseconds."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from node.transport.endpoint import Endpoint

__all__ = ["Report"]


@dataclass(slots=True)
class Report:
    """Collects measurements; `None` in a three-way field means that nobody knows yet."""

    started_at: float
    has_udp: bool = False
    has_ipv4: bool = False
    has_ipv6: bool = False
    can_send_ipv4: bool = False
    can_send_ipv6: bool = False
    os_has_ipv6: bool = False
    has_icmp4: bool = False
    mapping_varies: bool | None = None
    upnp: bool | None = None
    nat_pmp: bool | None = None
    pcp: bool | None = None
    captive_portal: bool | None = None
    preferred_region: int = 0
    latency_ns: dict[int, int] = field(default_factory=dict)
    latency4_ns: dict[int, int] = field(default_factory=dict)
    latency6_ns: dict[int, int] = field(default_factory=dict)
    seen4: Counter[Endpoint] = field(default_factory=Counter)
    seen6: Counter[Endpoint] = field(default_factory=Counter)
    global4: Endpoint | None = None
    global6: Endpoint | None = None
    _first_seen4: tuple[str, Endpoint] | None = None
    _asked4: dict[str, tuple[float, Endpoint]] = field(default_factory=dict)

    @property
    def in_order4(self) -> list[Endpoint]:
        """Our IPv4 addresses as the servers saw them, in the order of the first questions."""
        return [mapped for _, mapped in sorted(self._asked4.values(), key=lambda seen: seen[0])]

    def add_binding(
        self, region: int, server: str, mapped: Endpoint, latency_ns: int, asked_at: float = 0.0
    ) -> None:
        """Note that a STUN server of a region saw us at an address."""
        self.has_udp = True
        _keep_least(self.latency_ns, region, latency_ns)
        if mapped.ip.version == 6:
            self.has_ipv6 = True
            self.seen6[mapped] += 1
            if _keep_least(self.latency6_ns, region, latency_ns) == region:
                self.global6 = mapped
            return
        self.has_ipv4 = True
        self.seen4[mapped] += 1
        if _keep_least(self.latency4_ns, region, latency_ns) == region:
            self.global4 = mapped
        self._asked4.setdefault(server, (asked_at, mapped))
        self._compare_mapping(server, mapped)

    def add_https_latency(self, region: int, latency_ns: int) -> None:
        """Note how long a region took to answer over HTTPS, when UDP told nothing."""
        _keep_least(self.latency_ns, region, latency_ns)

    def add_icmp_latency(self, region: int, latency_ns: int) -> None:
        """Note an ICMP echo of a relay's address."""
        self.has_icmp4 = True
        _keep_least(self.latency_ns, region, latency_ns)

    def _compare_mapping(self, server: str, mapped: Endpoint) -> None:
        if self._first_seen4 is None:
            self._first_seen4 = (server, mapped)
            return
        first_server, first_mapped = self._first_seen4
        if mapped != first_mapped:
            self.mapping_varies = True
        elif server != first_server and self.mapping_varies is None:
            self.mapping_varies = False

    def to_json(self) -> dict[str, Any]:
        """Return the report under the field's JSON names."""
        return {
            "UDP": self.has_udp,
            "IPv6": self.has_ipv6,
            "IPv4": self.has_ipv4,
            "IPv6CanSend": self.can_send_ipv6,
            "IPv4CanSend": self.can_send_ipv4,
            "OSHasIPv6": self.os_has_ipv6,
            "ICMPv4": self.has_icmp4,
            "MappingVariesByDestIP": _three_way(self.mapping_varies),
            "UPnP": _three_way(self.upnp),
            "PMP": _three_way(self.nat_pmp),
            "PCP": _three_way(self.pcp),
            "CaptivePortal": _three_way(self.captive_portal),
            "PreferredDERP": self.preferred_region,
            "RegionLatency": _by_region(self.latency_ns),
            "RegionV4Latency": _by_region(self.latency4_ns),
            "RegionV6Latency": _by_region(self.latency6_ns),
            "GlobalV4Counters": {str(e): n for e, n in self.seen4.items()},
            "GlobalV6Counters": {str(e): n for e, n in self.seen6.items()},
            "GlobalV4": str(self.global4 or ""),
            "GlobalV6": str(self.global6 or ""),
        }


def _keep_least(latencies: dict[int, int], region: int, latency_ns: int) -> int:
    """Keep the smallest latency of a region; return the region that is nearest of all now."""
    latencies[region] = min(latency_ns, latencies.get(region, latency_ns))
    return min(latencies, key=lambda number: (latencies[number], number != region))


def _three_way(value: bool | None) -> bool | str:  # noqa: FBT001  a value to print
    return "" if value is None else value


def _by_region(latencies: Mapping[int, int]) -> dict[str, int]:
    return {str(region): latencies[region] for region in sorted(latencies)}
