"""Which of two proven addresses is better (relay reference 3.7). Integer arithmetic throughout."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from node.transport.endpoint import Endpoint

__all__ = ["Quality", "is_better"]

LOOPBACK_POINTS = 50
LINK_LOCAL_POINTS = 30
PRIVATE_POINTS = 20
IPV6_POINTS = 10

_PRIVATE_V4 = tuple(map(IPv4Network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")))
_PRIVATE_V6 = IPv6Network("fc00::/7")


@dataclass(frozen=True, slots=True)
class Quality:
    """An address that answered, and how well."""

    endpoint: Endpoint
    latency_ns: int
    mtu_bytes: int = 0
    """Largest packet known to pass, 0 when not probed."""
    vni: int = 0
    """Not 0 for an address on a peer relay."""


def is_better(a: Quality | None, b: Quality | None) -> bool:
    """Whether `a` should replace `b`. Never true both ways round."""
    if a is None or b is None:
        return a is not None
    if a.endpoint == b.endpoint and a.vni == b.vni:
        return a.mtu_bytes > b.mtu_bytes
    if bool(a.vni) != bool(b.vni):
        return not a.vni
    a_points, b_points = _points(a, b), _points(b, a)
    # One percent of latency is not worth a change of path.
    if a_points <= 1 and b_points == 0:
        return False
    return a_points > b_points


def _points(own: Quality, other: Quality) -> int:
    points = _kind_points(own.endpoint)
    if 0 < own.latency_ns < other.latency_ns:
        points += 100 - 100 * own.latency_ns // other.latency_ns
    return points


def _kind_points(endpoint: Endpoint) -> int:
    ip = endpoint.ip
    points = IPV6_POINTS if ip.version == 6 else 0
    if ip.is_loopback:
        return points + LOOPBACK_POINTS
    if ip.is_link_local:
        return points + LINK_LOCAL_POINTS
    if ip.version == 4:
        private = any(ip in network for network in _PRIVATE_V4)
    else:
        private = ip in _PRIVATE_V6
    return points + (PRIVATE_POINTS if private else 0)
