"""The literal compiler: one node's whole filter, made for the whole tailnet and then reduced.

Follows policy reference 3.4 and 4.3 to 4.7 step by step, order included, and shares no code with
the engine. Postures are left out: how they cut literal sources is nowhere recorded.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import ip_network
from typing import TYPE_CHECKING, Any

from tests.support.oracle.document import DEFAULT_PROTOCOLS, Document, Rule
from tests.support.oracle.selectors import Selectors, is_given, names_devices
from tests.support.oracle.spans import Ip, Network, networks, span
from tests.support.oracle.tailnet import read

if TYPE_CHECKING:
    from tests.support.oracle.tailnet import Device

_WILDCARD = (
    "100.64.0.0-100.115.91.255",
    "100.115.94.0-100.127.255.255",
    "fd7a:115c:a1e0::/48",
)
_INTERNET = (
    "0.0.0.0-9.255.255.255",
    "11.0.0.0-100.63.255.255",
    "100.128.0.0-169.253.255.255",
    "169.255.0.0-172.15.255.255",
    "172.32.0.0-192.167.255.255",
    "192.169.0.0-255.255.255.255",
    "2000::-3fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
)
_COMPANIONS = (
    ("tailscale.com/cap/drive", "tailscale.com/cap/drive-sharer"),
    ("tailscale.com/cap/relay", "tailscale.com/cap/relay-target"),
)
_SELF = "autogroup:self"

Entry = tuple[str, int, int]
"""A destination on the wire with its ports."""
Slot = tuple[str, list[tuple[int, int]]]
"""A destination of a rule with all its ports."""


@dataclass
class Generated:
    """A rule of the global list."""

    sources: tuple[str, ...]
    protocols: tuple[int, ...] | None
    entries: list[tuple[str, Entry]] = field(default_factory=list)
    """Each with how it is reduced: `shared` by its address, `steered` not at all."""
    grants: list[dict[str, Any]] = field(default_factory=list)


class LiteralCompiler:
    """Compiles filters the long way."""

    def __init__(self, policy: dict[str, Any], inventory: dict[str, Any]) -> None:
        self._document = Document(policy)
        self._tailnet = read(inventory)
        self._selectors = Selectors(self._document, self._tailnet)
        self._routes = [
            str(ip_network(route))
            for device in inventory["devices"]
            for route in device["advertisedRoutes"]
            if route in device["enabledRoutes"] and not route.endswith("/0")
        ]

    def compile(self, name: str) -> list[dict[str, Any]]:
        """Return a device's filter in the wire's spelling."""
        node = self._tailnet.devices[name]
        generated = [g for rule in self._document.rules for g in self._generate(rule, node)]
        wire = (self._reduce(rule, node) for rule in _merged(generated))
        return [rule for rule in wire if rule is not None]

    def _generate(self, rule: Rule, node: Device) -> list[Generated]:
        if not rule.src or not rule.dst:
            return []
        generated = []
        for protocols, slots in _groups(rule):
            generated.extend(self._network_rules(rule, protocols, slots, node))
        if rule.app and not rule.via:
            generated.extend(self._app_rules(rule, node))
        return generated

    def _network_rules(
        self,
        rule: Rule,
        protocols: tuple[int, ...] | None,
        slots: list[Slot],
        node: Device,
    ) -> list[Generated]:
        """Return what each destination contributes; merging joins those of equal sources."""
        generated: list[Generated] = []
        for selector, ports in slots:
            if selector == _SELF and not rule.via:
                sources = self._self_sources(rule, node)
                texts = [str(address) for address in node.addresses]
            else:
                sources = self._sources(rule.src)
                texts = self._texts(rule, selector, node)
            kind = "steered" if rule.via else "shared"
            entries = [(kind, (text, *port)) for text in texts for port in ports]
            if sources and entries:
                generated.append(Generated(sources, protocols, entries))
        return generated

    def _texts(self, rule: Rule, selector: str, node: Device) -> list[str]:
        """Return a destination's strings, everybody's addresses included."""
        if rule.via:
            return self._steered(rule, selector, node)
        if selector == "*":
            return ["*"]
        return self._spelled(selector)

    def _steered(self, rule: Rule, selector: str, node: Device) -> list[str]:
        if not set(rule.via) & set(node.tags) or selector in {"*", _SELF}:
            return []
        if selector == "autogroup:internet":
            return list(_INTERNET) if node.is_exit else []
        if names_devices(selector):
            return []
        return [t for t in self._spelled(selector) if any(span(t).meets(s) for s in node.subnets)]

    def _spelled(self, selector: str) -> list[str]:
        if selector == "autogroup:internet":
            return list(_INTERNET)
        if names_devices(selector):
            return [
                str(address)
                for device in self._tailnet.devices.values()
                if self._selectors.names(selector, device)
                for address in device.addresses
            ]
        return [
            _short(network) for s in self._selectors.stretches(selector) for network in networks(s)
        ]

    def _sources(self, selectors: list[str]) -> tuple[str, ...]:
        """Return the byte-sorted union (3.4)."""
        if "autogroup:danger-all" in selectors:
            return ("*",)
        texts: set[str] = set()
        for selector in selectors:
            texts.update(
                (*_WILDCARD, *self._routes) if selector == "*" else self._spelled(selector)
            )
        return tuple(sorted(texts, key=str.encode))

    def _self_sources(self, rule: Rule, node: Device) -> tuple[str, ...]:
        """Return the addresses of the node's user's devices that the sources name (3.3)."""
        return tuple(sorted(str(a) for d in self._self_devices(rule, node) for a in d.addresses))

    def _self_devices(self, rule: Rule, node: Device) -> list[Device]:
        if node.user is None:
            return []
        return [
            device
            for device in self._tailnet.devices.values()
            if device.user == node.user
            and any(s == "*" or self._selectors.names(s, device) for s in rule.src)
        ]

    def _reduce(self, rule: Generated, node: Device) -> dict[str, Any] | None:
        if rule.grants:
            return {"SrcIPs": list(rule.sources), "CapGrant": rule.grants}
        kept = [
            entry
            for kind, entry in rule.entries
            if kind == "steered" or self._is_kept(entry[0], node)
        ]
        if not kept:
            return None
        wire: dict[str, Any] = {
            "SrcIPs": list(rule.sources),
            "DstPorts": [
                {"IP": ip, "Ports": {"First": first, "Last": last}} for ip, first, last in kept
            ],
        }
        if rule.protocols is not None:
            wire["IPProto"] = list(rule.protocols)
        return wire

    def _is_kept(self, text: str, node: Device) -> bool:
        return text == "*" or is_given(span(text), node)

    def _app_rules(self, rule: Rule, node: Device) -> list[Generated]:
        listed = list(dict.fromkeys(rule.dst))
        own = [f"{a}/{a.max_prefixlen}" for a in node.addresses]
        plain = [selector for selector in listed if selector != _SELF]
        companions = [name for granted, name in _COMPANIONS if granted in rule.app]
        found = []
        elements = [self._narrowed(selector, node) for selector in plain]
        main = [{"Dsts": dsts, "CapMap": rule.app} for dsts in elements if dsts]
        if main:
            found.append(Generated(self._sources(rule.src), None, grants=main))
        mine = self._self_devices(rule, node) if _SELF in listed else []
        if mine:
            grant = {"Dsts": own, "CapMap": rule.app}
            found.append(Generated(self._self_sources(rule, node), None, grants=[grant]))
        back, looking = self._narrowed_sources(rule.src, node), self._sources(plain)
        if back and looking:
            for name in companions:
                grant = {"Dsts": back, "CapMap": {name: None}}
                found.append(Generated(looking, None, grants=[grant]))
        if node in mine:
            everyone = sorted(
                str(a)
                for device in self._tailnet.devices.values()
                if device.user == node.user
                for a in device.addresses
            )
            for name in companions:
                grant = {"Dsts": own, "CapMap": {name: None}}
                found.append(Generated(tuple(everyone), None, grants=[grant]))
        return found

    def _narrowed(self, selector: str, node: Device) -> list[str]:
        own = [f"{a}/{a.max_prefixlen}" for a in node.addresses if self._covers(selector, a, node)]
        if selector == "*" or names_devices(selector):
            return own
        routed = [
            str(ip_network(text))
            for text in self._spelled(selector)
            if any(span(text).meets(subnet) for subnet in node.subnets)
        ]
        return [*own, *routed]

    def _narrowed_sources(self, selectors: list[str], node: Device) -> list[str]:
        return [
            f"{address}/{address.max_prefixlen}"
            for address in node.addresses
            if any(self._covers(selector, address, node) for selector in selectors)
        ]

    def _covers(self, selector: str, address: Ip, node: Device) -> bool:
        if selector in {"*", "autogroup:danger-all"}:
            return True
        if names_devices(selector):
            return self._selectors.names(selector, node)
        return any(stretch.holds(address) for stretch in self._selectors.stretches(selector))


def _slot_class(selector: str) -> int:
    """Return the place of a destination inside its rule (4.3, step 4)."""
    if selector == "*":
        return 0
    if selector.startswith("autogroup:"):
        return 4
    if selector.startswith(("group:", "tag:")):
        return 3
    return 2 if "@" in selector else 1


def _groups(rule: Rule) -> list[tuple[tuple[int, ...] | None, list[Slot]]]:
    """Return each protocol of a rule with its destinations in order (4.3)."""
    by_protocol: dict[tuple[int, ...], dict[str, list[tuple[int, int]]]] = {}
    for opening in rule.openings:
        slots = by_protocol.setdefault(opening.protocols, {})
        slots.setdefault(opening.selector, []).append((opening.first, opening.last))
    return [
        (
            None if protocols == DEFAULT_PROTOCOLS else protocols,
            sorted(slots.items(), key=lambda slot: _slot_class(slot[0])),
        )
        for protocols, slots in by_protocol.items()
    ]


def _merged(generated: list[Generated]) -> list[Generated]:
    """Merge rules of equal sources and protocol into the first of them (4.4)."""
    merged: list[Generated] = []
    for rule in generated:
        for earlier in merged:
            if (
                not rule.grants
                and not earlier.grants
                and (earlier.sources, earlier.protocols) == (rule.sources, rule.protocols)
            ):
                earlier.entries.extend(rule.entries)
                break
        else:
            merged.append(rule)
    return merged


def _short(network: Network) -> str:
    single = network.prefixlen == network.max_prefixlen
    return str(network.network_address) if single else str(network)
