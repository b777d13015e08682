"""Who sees whom, with which addresses and routes (policy reference 5).

Sets of nodes are integers, as in `engine.bits`.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from engine.bits import members
from engine.netset.constants import INTERNET
from engine.netset.ranges import AddressRange

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from engine.compile.capabilities import CapabilityCompiler
    from engine.compile.filters import FilterCompiler
    from engine.directory import Directory, DirectoryNode, Route
    from engine.resolve.selectors import Strings
    from engine.rules import FilterRule

__all__ = ["PeerCompiler", "PeerView", "primary_routes"]

_INTERNET = frozenset(INTERNET)


class PeerView(NamedTuple):
    """What one node is told of another."""

    node: int
    """Index of the peer."""
    allowed_ips: Strings
    primary_routes: Strings


class PeerCompiler:
    """Works out every node's peers from the filters of all nodes."""

    def __init__(
        self,
        compiler: FilterCompiler,
        filters: Sequence[tuple[FilterRule, ...]],
        capabilities: CapabilityCompiler,
    ) -> None:
        self._compiler = compiler
        self._directory: Directory = compiler.directory
        self._filters = filters
        self._capabilities = capabilities
        self._source_masks: dict[Strings, int] = {}
        self._text_masks: dict[str, int] = {}
        self._permitted: dict[tuple[int, str], int] = {}
        self._routes_met: dict[str, tuple[str, ...]] = {}

    def peers(self, index: int) -> tuple[PeerView, ...]:
        """Return a node's peers in topology order."""
        visible = self.visible[index]
        routes = self._shown_routes(index)
        return tuple(self._view(index, peer, routes.get(peer, ())) for peer in members(visible))

    def particular_peers(self, index: int) -> tuple[PeerView, ...]:
        """Return those of a node's peers that are not shown to everybody alike.

        The rest are shown with all their addresses and nothing else.
        """
        routes = self._shown_routes(index)
        visible = self.visible[index]
        if index not in self.without_ipv4:
            visible &= self._particular
        return tuple(self._view(index, peer, routes.get(peer, ())) for peer in members(visible))

    def self_allowed_ips(self, index: int) -> Strings:
        """Return a node's own addresses and everything that it routes (5.2)."""
        node = self._directory.nodes[index]
        routes = (route.text for route in node.routes)
        return (*self._addresses(node, index), *routes, *node.exit_routes)

    def _view(self, viewer: int, peer: int, routes: Strings) -> PeerView:
        node = self._directory.nodes[peer]
        addresses = self._addresses(node, viewer)
        exits = node.exit_routes if self.exit_users.get(peer, 0) >> viewer & 1 else ()
        return PeerView(peer, (*addresses, *routes, *exits), routes)

    def _addresses(self, node: DirectoryNode, viewer: int) -> Strings:
        hosts, without_ipv4 = self._hosts[node.index], self.without_ipv4
        if without_ipv4 and (node.index in without_ipv4 or viewer in without_ipv4):
            return tuple(host for host in hosts if ":" in host)
        return hosts

    @cached_property
    def _hosts(self) -> list[Strings]:
        return [node.host_prefixes for node in self._directory.nodes]

    @cached_property
    def without_ipv4(self) -> frozenset[int]:
        """Indices of the nodes that neither have nor see addresses of IPv4."""
        nodes = range(len(self._directory.nodes))
        return frozenset(i for i in nodes if self._capabilities.has_ipv4_disabled(i))

    @cached_property
    def _particular(self) -> int:
        """The set of nodes that are shown to some otherwise than to others."""
        mask = 0
        for node in self._directory.nodes:
            if node.routes or node.exit_routes or node.index in self.without_ipv4:
                mask |= 1 << node.index
        return mask

    @cached_property
    def visible(self) -> list[int]:
        """For each node, the set of its peers: the relation is symmetric (5.1)."""
        seen = [0] * len(self._filters)
        pairs = [(nodes, self._reachers(sources)) for sources, nodes in self._receivers.items()]
        pairs.extend((1 << index, self._via_app_peers(index)) for index in range(len(seen)))
        for receivers, reachers in pairs:
            for index in members(receivers):
                seen[index] |= reachers
            for index in members(reachers):
                seen[index] |= receivers
        return [mask & ~(1 << index) for index, mask in enumerate(seen)]

    @cached_property
    def _receivers(self) -> dict[Strings, int]:
        """For each source list in any filter, the nodes that have a rule with it."""
        receivers: dict[Strings, int] = {}
        for index, rules in enumerate(self._filters):
            for sources in {rule.src_ips for rule in rules}:
                receivers[sources] = receivers.get(sources, 0) | 1 << index
        return receivers

    def _via_app_peers(self, index: int) -> int:
        """Return who sees a router because a grant steers an application through it (4.7)."""
        node = self._directory.nodes[index]
        mask = 0
        for rule in self._compiler.plan.apps:
            if rule.via and set(rule.via) & set(node.tags):
                mask |= self._reachers(rule.sources)
        return mask

    def _reachers(self, sources: Strings) -> int:
        """Return the nodes that a source list holds, or whose subnets it overlaps."""
        mask = self._source_masks.get(sources)
        if mask is None:
            mask = 0
            for text in sources:
                mask |= self._reachers_in(text)
            self._source_masks[sources] = mask
        return mask

    def _reachers_in(self, text: str) -> int:
        """Return the nodes of one wire string. Most strings are addresses of single nodes."""
        mask = self._text_masks.get(text)
        if mask is None:
            mask = 0
            for wanted in self._compiler.locator.ranges(text):
                for index in self._compiler.locator.holding(wanted):
                    mask |= 1 << index
                for index in self._compiler.locator.routing(wanted):
                    mask |= 1 << index
            self._text_masks[text] = mask
        return mask

    def _permits(self, index: int, route: Route) -> int:
        """Return the nodes that the rules delivered to a router let reach one of its routes."""
        key = (index, route.text)
        mask = self._permitted.get(key)
        if mask is None:
            mask = 0
            for rule in self._filters[index]:
                if any(_overlaps(text, route) for text in _destinations(rule)):
                    mask |= self._reachers(rule.src_ips)
            self._permitted[key] = mask
        return mask

    @cached_property
    def exit_users(self) -> dict[int, int]:
        """For each exit node, the set of nodes that may use it (5.4)."""
        users: dict[int, int] = {}
        for node in self._directory.nodes:
            if not node.exit_routes:
                continue
            mask = 0
            for rule in self._filters[node.index]:
                if any(ip == "*" or ip in _INTERNET for ip, _ in rule.dst_ports):
                    mask |= self._reachers(rule.src_ips)
            users[node.index] = mask
        return users

    @cached_property
    def _candidates(self) -> dict[str, list[tuple[DirectoryNode, Route]]]:
        """For each routed prefix, who has it, oldest first; online ones before offline ones."""
        table: dict[str, list[tuple[DirectoryNode, Route]]] = {}
        for node in self._directory.nodes:
            for route in node.routes:
                table.setdefault(route.text, []).append((node, route))
        for holders in table.values():
            holders.sort(key=lambda held: (not held[0].online, held[0].created, held[0].index))
        return table

    def _shown_routes(self, viewer: int) -> dict[int, Strings]:
        """Return, by peer, the subnet routes that a viewer is shown (5.4)."""
        bit = 1 << viewer
        return {
            peer: tuple(
                r.text for r in self._directory.nodes[peer].routes if shown.get(r.text, 0) & bit
            )
            for peer, shown in self.shown_routes.items()
        }

    @cached_property
    def shown_routes(self) -> dict[int, dict[str, int]]:
        """For each router and each of its routes, the set of nodes that are shown it (5.4)."""
        shown: dict[int, dict[str, int]] = {}
        everyone = (1 << len(self._filters)) - 1
        for text, holders in self._candidates.items():
            first, route = holders[0]
            left = everyone & ~(1 << first.index)
            chosen = self._permits(first.index, route) | self._hearers[text]
            for node, _ in holders:
                chosen |= 1 << node.index
            for node, held in holders:
                if node is not first:
                    chosen = self._permits(node.index, held)
                if chosen & left:
                    shown.setdefault(node.index, {})[text] = chosen & left
                left &= ~chosen
        return shown

    def shown_of(self, index: int) -> Mapping[str, int]:
        """Return everything that a node routes, with the set of nodes that are shown it."""
        routes: Mapping[str, int] = self.shown_routes.get(index, {})
        exits = dict.fromkeys(
            self._directory.nodes[index].exit_routes, self.exit_users.get(index, 0)
        )
        return {**routes, **exits} if exits else routes

    @cached_property
    def _hearers(self) -> dict[str, int]:
        """For each routed prefix, the nodes with a rule whose sources overlap it."""
        hearers = dict.fromkeys(self._candidates, 0)
        for sources, mask in self._receivers.items():
            for routed in {route for text in sources for route in self._routes_in(text)}:
                hearers[routed] |= mask
        return hearers

    def _routes_in(self, text: str) -> tuple[str, ...]:
        """Return the routed prefixes that one wire string overlaps."""
        found = self._routes_met.get(text)
        if found is None:
            spans = self._compiler.locator.ranges(text)
            nodes = {i for span in spans for i in self._compiler.locator.routing(span)}
            found = self._routes_met[text] = tuple(
                dict.fromkeys(
                    route.text
                    for index in sorted(nodes)
                    for route in self._directory.nodes[index].routes
                    if any(span.overlaps(route.range) for span in spans)
                )
            )
        return found


def primary_routes(directory: Directory) -> dict[int, Strings]:
    """Return, by node, the subnet routes for which it is the tailnet's primary (5.3)."""
    holders: dict[str, list[DirectoryNode]] = {}
    for node in directory.nodes:
        if node.online:
            for route in node.routes:
                holders.setdefault(route.text, []).append(node)
    primary: dict[int, list[str]] = {}
    for text, nodes in holders.items():
        oldest = min(nodes, key=lambda node: (node.created, node.index))
        primary.setdefault(oldest.index, []).append(text)
    return {index: tuple(texts) for index, texts in primary.items()}


def _destinations(rule: FilterRule) -> Iterator[str]:
    for entry in rule.dst_ports:
        yield entry.ip
    for grant in rule.cap_grants:
        yield from grant.dsts


def _overlaps(text: str, route: Route) -> bool:
    return text == "*" or AddressRange.parse(text).overlaps(route.range)
