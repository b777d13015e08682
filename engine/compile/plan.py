"""Rules with their sources resolved and their destinations in slots: what every node shares.

A plan is made once for a policy and a directory. Only `autogroup:self` and `via` need to know the
receiving node; they stay marked in the plan (policy reference 4.3).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from engine.compile.origins import origin_of, rules_in_force
from engine.rules import ALL_PORTS, PortRange
from policy.model.ports import ANY
from policy.model.rules import Acl
from policy.model.selectors import (
    Address,
    Autogroup,
    Cidr,
    DomainUsers,
    Group,
    HostAlias,
    IpSetName,
    Selector,
    Service,
    Tag,
    User,
    Wildcard,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from engine.resolve.selectors import Resolver, Strings
    from engine.rules import Origin
    from policy.model.document import Policy
    from policy.model.ports import Ports
    from policy.model.rules import Grant

__all__ = [
    "COMPANIONS",
    "AppRule",
    "NetworkRule",
    "Plan",
    "Slot",
    "make_plan",
]

COMPANIONS = (
    ("tailscale.com/cap/drive", "tailscale.com/cap/drive-sharer"),
    ("tailscale.com/cap/relay", "tailscale.com/cap/relay-target"),
)
"""Granted capability and the one that goes the other way, in the order of their rules (4.6)."""

_CLASS: dict[type[Selector], int] = {
    Wildcard: 0,
    Address: 1,
    Cidr: 1,
    HostAlias: 1,
    IpSetName: 1,
    Service: 1,
    User: 2,
    DomainUsers: 2,
    Group: 3,
    Tag: 3,
    Autogroup: 4,
}
"""Order of destination slots inside a rule (4.3, step 4)."""


class Slot(NamedTuple):
    """One destination selector of a rule and every port that it was listed with."""

    selector: Selector
    ports: tuple[PortRange, ...]

    @property
    def is_self(self) -> bool:
        """Whether it is `autogroup:self`."""
        return self.selector.is_self


class NetworkRule(NamedTuple):
    """One rule and one protocol of it."""

    sequence: int
    """Place among everything generated; ties between rules do not occur."""
    sources: Strings
    src: tuple[Selector, ...]
    """The selectors behind `sources`, for the part that reaches `autogroup:self`."""
    postures: Strings
    protocol: tuple[int, ...] | None
    slots: tuple[Slot, ...]
    """In the order of their class."""
    via: Strings
    """Tags of the only receivers; empty where any node may receive."""
    origin: Origin


class AppRule(NamedTuple):
    """The application part of a grant."""

    sequence: int
    sources: Strings
    src: tuple[Selector, ...]
    postures: Strings
    dst: tuple[Selector, ...]
    """As listed, repetitions left out."""
    capabilities: Mapping[str, Any]
    via: Strings
    """Tags of the routers that it makes visible, though it grants nothing there (4.7)."""
    origin: Origin


class Plan(NamedTuple):
    """Everything generated, in order: grants first, then acls."""

    network: tuple[NetworkRule, ...]
    apps: tuple[AppRule, ...]


def make_plan(policy: Policy, resolver: Resolver) -> Plan:
    """Make the plan: every rule numbered and its sources resolved."""
    network: list[NetworkRule] = []
    apps: list[AppRule] = []
    sequence = 0
    for rule in rules_in_force(policy):
        if not rule.src or not rule.dst:
            continue
        postures = resolver.postures_of(rule.src_posture)
        sources = resolver.sources(rule.src, postures)
        origin = origin_of(rule)
        via: Strings = () if isinstance(rule, Acl) else rule.via
        for protocol, slots in _groups(rule):
            sequence += 1
            network.append(
                NetworkRule(sequence, sources, rule.src, postures, protocol, slots, via, origin)
            )
        if not isinstance(rule, Acl) and rule.app:
            sequence += 1
            dst = tuple(dict.fromkeys(rule.dst))
            apps.append(AppRule(sequence, sources, rule.src, postures, dst, rule.app, via, origin))
    return Plan(tuple(network), tuple(apps))


def _groups(rule: Grant | Acl) -> Iterator[tuple[tuple[int, ...] | None, tuple[Slot, ...]]]:
    """Yield each protocol of a rule with its destination slots in order."""
    if isinstance(rule, Acl):
        listed = [(entry.selector, entry.ports) for entry in rule.dst]
        yield _protocol(rule.protocol), _slots(listed)
        return
    by_protocol: dict[int | None, list[Ports]] = {}
    for spec in rule.ip:
        by_protocol.setdefault(spec.protocol, []).append(spec.ports)
    for protocol, ports in by_protocol.items():
        yield _protocol(protocol), _slots([(selector, tuple(ports)) for selector in rule.dst])


def _protocol(number: int | None) -> tuple[int, ...] | None:
    return None if number is None else (number,)


def _slots(listed: Iterable[tuple[Selector, tuple[Ports, ...]]]) -> tuple[Slot, ...]:
    collapsed: dict[Selector, list[PortRange]] = {}
    for selector, ports in listed:
        ranges = (ALL_PORTS if port == ANY else PortRange(*port) for port in ports)
        collapsed.setdefault(selector, []).extend(ranges)
    slots = [Slot(selector, tuple(ports)) for selector, ports in collapsed.items()]
    return tuple(sorted(slots, key=lambda slot: _CLASS[type(slot.selector)]))
