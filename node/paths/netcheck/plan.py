"""Which STUN questions to ask whom, and when (relay reference 4.2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from relay.stun import DEFAULT_PORT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from control.wire import DerpMap, DerpNode
    from node.paths.netcheck.report import Report

__all__ = ["Probe", "incremental_plan", "initial_plan", "stun_port"]

INITIAL_TRIES: Final = 3
INITIAL_GAP_S: Final = 0.1
UNKNOWN_LATENCY_S: Final = 0.2
LATENCY_FACTOR: Final = 1.2
RETRY_EXTRA_S: Final = 0.05
NEAREST_REGIONS: Final = 3
HOME_TRIES: Final = 4
FASTEST_TRIES: Final = 2


@dataclass(frozen=True, slots=True, order=True)
class Probe:
    """Ask one node over one family, so long after the start."""

    delay_s: float
    region: int
    node_name: str
    is_ipv6: bool


def stun_port(node: DerpNode) -> int:
    """Return the UDP port to ask, 0 for a node that does not answer STUN."""
    return DEFAULT_PORT if node.stun_port == 0 else max(0, node.stun_port)


def initial_plan(derp_map: DerpMap, *, ipv6: bool) -> list[Probe]:
    """Ask every region that may be measured, three times a family."""
    probes = []
    for region, nodes in _measurable(derp_map).items():
        for is_ipv6 in (False, True) if ipv6 else (False,):
            able = [node for node in nodes if _has_family(node, is_ipv6=is_ipv6)]
            for attempt in range(INITIAL_TRIES if able else 0):
                node = able[attempt % len(able)]
                probes.append(Probe(attempt * INITIAL_GAP_S, region, node.name, is_ipv6))
    return sorted(probes)


def incremental_plan(derp_map: DerpMap, last: Report, home: int, *, ipv6: bool) -> list[Probe]:
    """Ask the three nearest regions of last time, and home always."""
    measurable = _measurable(derp_map)
    ranked = sorted(
        (region for region in last.latency_ns if region in measurable),
        key=lambda region: (last.latency_ns[region], region),
    )
    chosen = ranked[:NEAREST_REGIONS]
    if home in measurable and home not in chosen:
        chosen.append(home)
    if not chosen:
        return initial_plan(derp_map, ipv6=ipv6)
    both = ipv6 and last.has_ipv4 and last.has_ipv6
    probes = []
    for rank, region in enumerate(chosen):
        tries = HOME_TRIES if region == home else FASTEST_TRIES if rank < 2 else 1
        for is_ipv6 in _families(rank, ipv6=ipv6, both=both, last=last):
            count = 1 if is_ipv6 and not last.has_ipv6 else tries
            probes += _tries(region, measurable[region], last, count, is_ipv6=is_ipv6)
    return sorted(probes)


def _families(rank: int, *, ipv6: bool, both: bool, last: Report) -> tuple[bool, ...]:
    if not ipv6:
        return (False,)
    # On a host with both families the slower regions take turns instead of doubling traffic.
    if both and rank >= 2:
        return (bool(rank % 2),)
    return (False, True) if last.has_ipv4 or not last.has_ipv6 else (True, False)


def _tries(
    region: int, nodes: list[DerpNode], last: Report, count: int, *, is_ipv6: bool
) -> list[Probe]:
    able = [node for node in nodes if _has_family(node, is_ipv6=is_ipv6)]
    if not able:
        return []
    known_ns = last.latency_ns.get(region)
    step_s = UNKNOWN_LATENCY_S if known_ns is None else known_ns / 1e9 * LATENCY_FACTOR
    return [
        Probe(
            attempt * step_s + (attempt * RETRY_EXTRA_S if attempt > 1 else 0.0),
            region,
            able[attempt % len(able)].name,
            is_ipv6,
        )
        for attempt in range(count)
    ]


def _measurable(derp_map: DerpMap) -> Mapping[int, list[DerpNode]]:
    found = {}
    for number, region in (derp_map.regions or {}).items():
        if region is None or region.no_measure_no_home:
            continue
        nodes = [node for node in region.nodes or () if stun_port(node)]
        if nodes:
            found[number] = nodes
    return found


def _has_family(node: DerpNode, *, is_ipv6: bool) -> bool:
    return (node.ipv6 if is_ipv6 else node.ipv4) != "none"
