"""The host's network as it has to be, as a value, and the steps from one plan to the next.

Routes stand in a table of their own, which a rule looks up last; packets that carry the bypass
mark never see it, so that the tunnel does not swallow its own datagrams (relay reference 7.2).
Servers that must stay reachable whatever the routes say get `throw` entries.
"""

from __future__ import annotations

import ipaddress
import zlib
from dataclasses import dataclass
from enum import Enum
from typing import Final

__all__ = [
    "BYPASS_MARK",
    "DEFAULT_INTERFACE",
    "MARK_MASK",
    "ROUTE_TABLE",
    "HostPlan",
    "Step",
    "StepKind",
    "route_table",
    "steps",
    "translator_name",
]

IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network

ROUTE_TABLE: Final = 7726
"""Our own: the field's clients keep theirs in 52, and both may run on one host."""
DEFAULT_INTERFACE: Final = "postern0"
BYPASS_MARK: Final = 0x80000
MARK_MASK: Final = 0xFF0000
DEFAULT_MTU: Final = 1280
_MORE_TABLES: Final = 1 << 20


def route_table(interface: str) -> int:
    """Return the table of an interface's routes: several agents of one host must not share one."""
    if interface == DEFAULT_INTERFACE:
        return ROUTE_TABLE
    return ROUTE_TABLE + 1 + zlib.crc32(interface.encode()) % _MORE_TABLES


def translator_name(interface: str) -> str:
    """Return the name of the interface that translates for an interface's 4via6 routes."""
    return f"via{route_table(interface)}"


@dataclass(frozen=True, slots=True)
class HostPlan:
    """Everything on the host that belongs to one agent."""

    addresses: tuple[IPNetwork, ...] = ()
    """Of the tunnel interface, as /32 and /128."""
    services: tuple[IPNetwork, ...] = ()
    """Further addresses, which this host answers on but never speaks from."""
    routes: tuple[IPNetwork, ...] = ()
    bypasses: tuple[IPNetwork, ...] = ()
    """Destinations that never go into the tunnel."""
    forwards: tuple[IPNetwork, ...] = ()
    """Networks behind this host that peers may be forwarded to."""
    masquerades: bool = True
    """Whether forwarded packets take the host's own address."""
    mtu: int = DEFAULT_MTU


class StepKind(Enum):
    """What is added or taken away."""

    ADDRESS = "address"
    SERVICE = "service address"
    ROUTE = "route"
    BYPASS = "bypass"
    FORWARDING = "forwarding"


@dataclass(frozen=True, slots=True)
class Step:
    """One change; its opposite undoes it."""

    kind: StepKind
    is_addition: bool
    networks: tuple[IPNetwork, ...]
    masquerades: bool = False

    def opposite(self, before: HostPlan) -> Step:
        """Return the step that leads back."""
        if self.kind is StepKind.FORWARDING:
            return _forwarding(before)
        return Step(self.kind, not self.is_addition, self.networks)


def steps(before: HostPlan, after: HostPlan) -> list[Step]:
    """Return the changes in an order that never routes what cannot be answered.

    Addresses come before the routes that need them and go after; bypasses come before routes that
    would capture what they protect.
    """
    found: list[Step] = []

    def change(kind: StepKind, old: tuple[IPNetwork, ...], new: tuple[IPNetwork, ...]) -> None:
        gone = tuple(network for network in old if network not in new)
        come = tuple(network for network in new if network not in old)
        found.extend(
            Step(kind, is_addition, (network,))
            for is_addition, networks in ((True, come), (False, gone))
            for network in networks
        )

    change(StepKind.ADDRESS, (), tuple(n for n in after.addresses if n not in before.addresses))
    change(StepKind.SERVICE, before.services, after.services)
    change(StepKind.BYPASS, before.bypasses, after.bypasses)
    change(StepKind.ROUTE, before.routes, after.routes)
    change(StepKind.ADDRESS, tuple(n for n in before.addresses if n not in after.addresses), ())
    if (before.forwards, before.masquerades) != (after.forwards, after.masquerades):
        found.append(_forwarding(after))
    return found


def _forwarding(plan: HostPlan) -> Step:
    return Step(StepKind.FORWARDING, bool(plan.forwards), plan.forwards, plan.masquerades)
