"""One state of policy and directory, compiled; what any node is told follows from it.

A new state is made when something changes that rules, peers or routes depend on. Reports of
endpoints and the like do not: they reach viewers without compiling anything.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from control.wire import Reach
from engine.bits import members
from engine.compile.network import CompiledNetwork
from engine.compile.peers import primary_routes
from engine.compile.reach import reach_of
from engine.netset import AddressError, IpSet

if TYPE_CHECKING:
    from collections.abc import Iterable

    from engine.compile.ssh import SshPolicyRule
    from engine.directory import Directory
    from engine.rules import FilterRule
    from policy.model.document import Policy

__all__ = [
    "NetworkView",
    "News",
    "PeerRoutes",
]

Texts = tuple[str, ...]


class PeerRoutes(NamedTuple):
    """What one viewer sends to one peer."""

    allowed_ips: Texts
    primary_routes: Texts


class News(NamedTuple):
    """Numbers of the nodes for which a network says something else than the one before."""

    views: frozenset[int]
    """Those that see other peers, or peers otherwise."""
    rules: frozenset[int]
    """Those with other filters or SSH rules."""
    selves: frozenset[int]
    """Those that see themselves otherwise."""
    origins: frozenset[int]
    """Those whose rules come from other lines of the policy, and say what they said."""


class NetworkView:
    """Answers by node number. Work is done when first asked for, then kept."""

    def __init__(
        self,
        policy: Policy,
        directory: Directory,
        before: NetworkView | None = None,
        wireguard_only: frozenset[int] = frozenset(),
    ) -> None:
        """Compile for a directory; `wireguard_only` are the numbers of plain WireGuard devices."""
        self.wireguard_only = wireguard_only
        self._has_wireguard_news = bool(wireguard_only) or (
            before is not None and bool(before.wireguard_only)
        )
        self.compiled: CompiledNetwork = CompiledNetwork(
            policy, directory, None if before is None else before.compiled
        )
        self._ids = tuple(int(node.id) for node in directory.nodes)
        self._index = {node_id: index for index, node_id in enumerate(self._ids)}
        self._reach: dict[int, tuple[Reach, ...]] = {}
        self._primary = primary_routes(directory)

    def prepare(self) -> News:
        """Do the shared part of the work now; safe in another thread.

        Returns what is new since `before`, or everything where there is none.
        """
        changes = self.compiled.settle()
        if changes is None:
            everybody = frozenset(self._ids)
            return News(everybody, everybody, everybody, frozenset())
        news = News(*(frozenset(self._ids[at] for at in members(mask)) for mask in changes))
        return self._with_senders(news) if self._has_wireguard_news else news

    def _with_senders(self, news: News) -> News:
        """Add whoever may have something else to hold back from plain WireGuard devices.

        That follows from the peers, their rules and the sender's own addresses.
        """
        senders = (self.peers(device).keys() for device in self.wireguard_only)
        return news._replace(rules=news.rules.union(news.views, news.selves, *senders))

    @property
    def node_ids(self) -> tuple[int, ...]:
        """Numbers of the nodes in the directory."""
        return self._ids

    def __contains__(self, node_id: object) -> bool:
        return node_id in self._index

    def packet_filter(self, node_id: int) -> tuple[FilterRule, ...]:
        """Return the rules of a node; none for a node that is not in the directory."""
        index = self._index.get(node_id)
        return () if index is None else self.compiled.packet_filters[index]

    def wireguard_only_filter(self, node_id: int) -> tuple[FilterRule, ...] | None:
        """Return what a node may send to its plain WireGuard peers; None where it has none.

        These are the rules that the peers would hold, reduced to what this node sends from.
        """
        index = self._index.get(node_id)
        if index is None or node_id in self.wireguard_only or not self.wireguard_only:
            return None
        peers = self.peers(node_id).keys() & self.wireguard_only
        if not peers:
            return None
        own = IpSet.of_strings(self.own_routes(node_id).allowed_ips)
        return tuple(
            replace(rule, src_ips=sources)
            for peer in sorted(peers)
            for rule in self.packet_filter(peer)
            if (sources := _within(rule.src_ips, own))
        )

    def reach(self, node_id: int) -> tuple[Reach, ...]:
        """Return what a node may reach, worked out once however often it asks."""
        index = self._index.get(node_id)
        if index is None:
            return ()
        known = self._reach.get(index)
        if known is None:
            ids = self._ids
            found = reach_of(self.compiled.directory, self.compiled.packet_filters, index)
            known = self._reach[index] = tuple(
                Reach(node_ids=tuple(ids[peer] for peer in peers), rule=rule)
                for peers, rule in found
            )
        return known

    def peers(self, node_id: int) -> dict[int, PeerRoutes]:
        """Return a node's peers by number, ascending."""
        index = self._index.get(node_id)
        if index is None:
            return {}
        ids, plain = self._ids, self._plain
        peers = {ids[peer]: plain[peer] for peer in members(self.compiled.peers.visible[index])}
        for peer, allowed_ips, routes in self.compiled.peers.particular_peers(index):
            peers[ids[peer]] = PeerRoutes(allowed_ips, routes)
        return peers

    @cached_property
    def _plain(self) -> list[PeerRoutes]:
        """Each node as those see it who are shown its addresses and no more."""
        return [PeerRoutes(node.host_prefixes, ()) for node in self.compiled.directory.nodes]

    def own_routes(self, node_id: int) -> PeerRoutes:
        """Return a node's own addresses and routes, and those it is primary for."""
        index = self._index.get(node_id)
        if index is None:
            return PeerRoutes((), ())
        return PeerRoutes(self.compiled.peers.self_allowed_ips(index), self._primary.get(index, ()))

    def self_capabilities(self, node_id: int) -> dict[str, Any]:
        """Return the capability map that a node has."""
        index = self._index.get(node_id)
        return {} if index is None else self.compiled.capabilities.self_map(index)

    def peer_capabilities(self, node_id: int) -> dict[str, Any]:
        """Return the capability map under which peers see a node."""
        index = self._index.get(node_id)
        return {} if index is None else self.compiled.capabilities.peer_map(index)

    def ssh_policy(self, node_id: int) -> tuple[SshPolicyRule, ...]:
        """Return a node's SSH rules with what only the server knows of them."""
        index = self._index.get(node_id)
        return () if index is None else self.compiled.ssh_policy(index)

    def ssh_rules(self, node_id: int) -> list[dict[str, Any]]:
        """Return a node's SSH rules in the wire's JSON."""
        return [rule.to_wire() for rule in self.ssh_policy(node_id)]


def _within(sources: Iterable[str], own: IpSet) -> Texts:
    """Return the part of a rule's sources that lies in `own`; capabilities select no address."""
    try:
        found = IpSet.of_strings(sources) & own
    except AddressError:
        return ()
    return tuple(found.strings())
