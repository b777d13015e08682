"""Output vocabulary of the compiler: what a node's packet filter is made of.

The shapes follow the control protocol's `FilterRule` (policy reference 4.2). The engine holds
addresses as the strings that go on the wire, because order and spelling are part of the answer;
`engine.evaluate` turns them into sets of numbers once, when a filter is installed.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from engine.origin import Origin

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "ALL_PORTS",
    "DEFAULT_PROTOCOLS",
    "OWN_ADDRESS",
    "CapGrant",
    "EngineError",
    "FilterRule",
    "MalformedRuleError",
    "NetPortRange",
    "Origin",
    "PortRange",
    "origins_to_wire",
    "with_origins",
]

OWN_ADDRESS: Final = {4: "own4", 6: "own6"}
"""By IP version, a destination that stands for each receiver's own address where one rule is told
of many receivers. Never in a packet filter."""

ORIGINS_KEY: Final = "PosternOrigins"
"""Ours: clients that do not know it ignore it (control reference 4.10)."""

DEFAULT_PROTOCOLS: tuple[int, ...] = (6, 17, 1, 58)
"""What a rule without `IPProto` covers, in wire order: TCP, UDP, ICMPv4, ICMPv6."""


class EngineError(Exception):
    """Root of everything the engine raises."""


class MalformedRuleError(EngineError):
    """A filter rule in JSON that does not have the wire's shape; the message says where."""


class PortRange(NamedTuple):
    """Ports `first` to `last`, both included, 0 to 65535."""

    first: int
    last: int


ALL_PORTS = PortRange(0, 65535)


class NetPortRange(NamedTuple):
    """One destination of a rule: `ip` is `*`, an address, a CIDR or a range `a-b`."""

    ip: str
    ports: PortRange


@dataclass(frozen=True, slots=True)
class CapGrant:
    """Application capabilities granted on some destinations."""

    dsts: tuple[str, ...]
    """Prefixes, always with a length."""
    cap_map: Mapping[str, Any]
    """Capability name to its values: a list of JSON values, or None for a companion capability."""


@dataclass(frozen=True, slots=True)
class FilterRule:
    """One rule of a packet filter.

    The compiler fills exactly one of `dst_ports` and `cap_grants`; a rule read from the wire with
    both means both.
    """

    src_ips: tuple[str, ...]
    """Byte-sorted strings: `*`, addresses, CIDRs and ranges (policy reference 3.4)."""
    dst_ports: tuple[NetPortRange, ...] = ()
    ip_proto: tuple[int, ...] | None = None
    """IP protocol numbers, or None for `DEFAULT_PROTOCOLS`; never empty when read from the wire."""
    cap_grants: tuple[CapGrant, ...] = ()
    origins: tuple[Origin, ...] = field(default=(), compare=False)
    """Policy rules that contributed, in order of contribution. They decide nothing: two rules that
    differ only in them are equal."""
    shares: tuple[int, ...] = field(default=(), compare=False)
    """How many entries of `dst_ports` came from each origin, in the same order; empty where that
    is not known."""

    @property
    def protocols(self) -> tuple[int, ...]:
        """IP protocol numbers that the rule covers, with the default spelled out."""
        return self.ip_proto or DEFAULT_PROTOCOLS

    def to_wire(self, *, with_origins: bool = False) -> dict[str, Any]:
        """Return the rule in the wire's own JSON spelling (policy reference 4.2).

        With origins a key of ours says which lines of the policy the rule comes from.
        """
        wire: dict[str, Any] = {"SrcIPs": list(self.src_ips)}
        if self.cap_grants:
            wire["CapGrant"] = [
                {"Dsts": list(grant.dsts), "CapMap": dict(grant.cap_map)}
                for grant in self.cap_grants
            ]
        if self.dst_ports or not self.cap_grants:
            wire["DstPorts"] = [
                {"IP": ip, "Ports": {"First": first, "Last": last}}
                for ip, (first, last) in self.dst_ports
            ]
        if self.ip_proto:
            wire["IPProto"] = list(self.ip_proto)
        if with_origins and self.origins:
            wire[ORIGINS_KEY] = origins_to_wire(self)
        return wire

    @classmethod
    def from_wire(cls, wire: object) -> FilterRule:
        """Read a rule from its JSON form; unknown keys are ignored, null is as good as absent.

        Raises MalformedRuleError where a known key has another type than the wire allows. Addresses
        stay text and are not looked into.
        """
        if not isinstance(wire, dict):
            raise MalformedRuleError("filter rule: expected an object")
        rule = cls(
            src_ips=tuple(_strings(wire.get("SrcIPs"), "SrcIPs")),
            dst_ports=tuple(_net_port_range(item) for item in _list(wire, "DstPorts")),
            # Go clients cannot tell an empty list from none, so neither does the wire.
            ip_proto=tuple(_numbers(wire.get("IPProto"))) or None,
            cap_grants=tuple(_cap_grant(item) for item in _list(wire, "CapGrant")),
        )
        origins = wire.get(ORIGINS_KEY)
        return rule if origins is None else with_origins(rule, origins)


def origins_to_wire(rule: FilterRule) -> list[list[Any]]:
    """Return where a rule comes from: section, position, line and share of each origin."""
    shares = rule.shares or (0,) * len(rule.origins)
    return [[*origin, share] for origin, share in zip(rule.origins, shares, strict=True)]


def with_origins(rule: FilterRule, wire: object) -> FilterRule:
    """Return a rule with the origins that `origins_to_wire` wrote.

    What cannot be read leaves the rule without any: origins explain a rule, they never decide.
    """
    entries = wire if isinstance(wire, list) else []
    origins, shares = [], []
    for entry in entries:
        match entry:
            case [str(section), int(position), int(line), int(share)] if share >= 0:
                origins.append(Origin(section, position, line))
                shares.append(share)
            case _:
                return replace(rule, origins=(), shares=())
    is_split = sum(shares) == len(rule.dst_ports) and any(shares)
    return replace(rule, origins=tuple(origins), shares=tuple(shares) if is_split else ())


def _list(wire: dict[str, Any], key: str) -> list[Any]:
    value = wire.get(key)
    if value is None:
        return []
    if isinstance(value, list):
        return value
    raise MalformedRuleError(f"filter rule: {key} must be a list")


def _strings(value: object, where: str) -> list[str]:
    if value is None:
        return []
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return value
    raise MalformedRuleError(f"filter rule: {where} must be a list of strings")


def _numbers(value: object) -> list[int]:
    if value is None:
        return []
    if isinstance(value, list) and all(_is_int(item, 255) for item in value):
        return value
    raise MalformedRuleError("filter rule: IPProto must be a list of numbers from 0 to 255")


def _is_int(value: object, top: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= top


def _net_port_range(item: object) -> NetPortRange:
    match item:
        case {"IP": str(ip), "Ports": {"First": first, "Last": last}} if (
            _is_int(first, 65535) and _is_int(last, 65535) and first <= last
        ):
            return NetPortRange(ip, PortRange(first, last))
    raise MalformedRuleError(
        "filter rule: each DstPorts entry needs IP and Ports with First <= Last, 0 to 65535"
    )


def _cap_grant(item: object) -> CapGrant:
    if not isinstance(item, dict):
        raise MalformedRuleError("filter rule: each CapGrant entry must be an object")
    cap_map = item.get("CapMap", {})
    if cap_map is None:
        cap_map = {}
    if not isinstance(cap_map, dict) or not all(map(_is_values, cap_map.values())):
        raise MalformedRuleError("filter rule: CapMap must map names to lists or null")
    # Servers of old name capabilities without values in a list of their own.
    named = dict.fromkeys(_strings(item.get("Caps"), "Caps"))
    return CapGrant(tuple(_strings(item.get("Dsts"), "Dsts")), named | cap_map)


def _is_values(value: object) -> bool:
    return value is None or isinstance(value, list)
