"""One state of policy and directory, compiled; what any node is told follows from it.

A new state is made when something changes that rules, peers or routes depend on. Reports of
endpoints and the like do not: they reach viewers without compiling anything.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from ipaddress import ip_network
from typing import TYPE_CHECKING, Any, NamedTuple

from control.policies.applicants import group_names
from control.wire import Reach
from engine.bits import members
from engine.compile.network import CompiledNetwork
from engine.compile.peers import primary_routes
from engine.compile.reach import reach_of
from engine.directory import Directory, DirectoryNode, DirectoryUser, Route, Settings
from engine.netset import AddressError, IpSet
from engine.netset.address import Address
from engine.netset.ranges import AddressRange

if TYPE_CHECKING:
    from collections.abc import Iterable

    from control.registry.tailnet import Tailnet
    from control.store.records import NodeRecord, UserRecord
    from control.wire import Prefix
    from engine.compile.ssh import SshPolicyRule
    from engine.rules import FilterRule
    from policy.model.document import Policy

__all__ = [
    "NetworkView",
    "News",
    "PeerRoutes",
    "directory_of",
    "effective_routes",
    "posture_attributes",
    "structure_of",
    "structures",
    "wireguard_only",
]

EXIT_ROUTES = frozenset({ip_network("0.0.0.0/0"), ip_network("::/0")})

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


def effective_routes(node: NodeRecord) -> tuple[Prefix, ...]:
    """Return the routes that are advertised and approved, as advertised.

    Approving one of the two exit routes approves both.
    """
    approved = set(node.approved_routes)
    if approved & EXIT_ROUTES:
        approved |= EXIT_ROUTES
    return tuple(dict.fromkeys(r for r in node.hostinfo.routable_ips if r in approved))


def posture_attributes(node: NodeRecord) -> dict[str, str]:
    """Return what a node's own description says for posture conditions (policy reference 2.4).

    A version's build, as in `1.80.3-t1a2b`, is left out: it has no order. What the node does not
    say is not set, which fails every condition but `NOT SET`.
    """
    hostinfo = node.hostinfo
    said = {
        "node:os": hostinfo.os.lower(),
        "node:osVersion": hostinfo.os_version,
        "node:tsVersion": hostinfo.client_version.partition("-")[0],
    }
    return {name: value for name, value in said.items() if value}


def structure_of(node: NodeRecord, *, is_online: bool) -> tuple[Any, ...]:
    """Return everything of a node that rules, peers and routes can depend on."""
    routes = effective_routes(node)
    return (
        node.user_id,
        node.tags,
        node.ipv4,
        node.ipv6,
        node.given_name,
        node.is_authorized,
        posture_attributes(node),
        routes,
        # Who is primary for a route depends on who is there.
        is_online if routes else None,
    )


KnownNodes = dict[int, tuple["NodeRecord", str | None, bool, DirectoryNode]]
"""Nodes of earlier directories by number, with what each was made from."""


def directory_of(
    tailnet: Tailnet, *, name: str, domains: frozenset[str] | None, known: KnownNodes | None = None
) -> Directory:
    """Return what the compiler needs to know; nodes that wait for approval are not in it.

    Nodes that are as they were in `known` are taken from there, and `known` is brought up to date.
    """
    users = tailnet.users
    logins = {user.id: user.login_name for user in users}
    authorized = (node for node in tailnet.nodes if node.is_authorized)
    found = {} if known is None else known
    nodes = tuple(
        _known_node(found, index, node, logins, is_online=tailnet.is_online(node.id))
        for index, node in enumerate(authorized)
    )
    if len(found) > len(nodes):
        kept = {int(node.id) for node in nodes}
        for node_id in found.keys() - kept:
            del found[node_id]
    settings = Settings(name=name, domains=domains)
    return Directory(tuple(map(_directory_user, users)), nodes, settings)


def _known_node(
    known: KnownNodes, index: int, node: NodeRecord, logins: dict[int, str], *, is_online: bool
) -> DirectoryNode:
    login = None if node.user_id is None or node.tags else logins.get(node.user_id)
    held = known.get(node.id)
    if (
        held is not None
        and held[0] is node
        and held[1:3] == (login, is_online)
        and held[3].index == index
    ):
        return held[3]
    made = _directory_node(index, node, login, is_online=is_online)
    if held is not None and held[3] == made:
        made = held[3]
    known[node.id] = (node, login, is_online, made)
    return made


def _directory_user(user: UserRecord) -> DirectoryUser:
    return DirectoryUser(
        id=str(user.id),
        login=user.login_name,
        display_name=user.display_name,
        role=user.role.value,
        groups=group_names(user),
    )


def _directory_node(
    index: int, node: NodeRecord, login: str | None, *, is_online: bool
) -> DirectoryNode:
    routes = effective_routes(node)
    return DirectoryNode(
        index=index,
        id=str(node.id),
        hostname=node.given_name,
        ipv4=None if node.ipv4 is None else Address(4, int(node.ipv4)),
        ipv6=None if node.ipv6 is None else Address(6, int(node.ipv6)),
        user=login,
        tags=node.tags,
        routes=tuple(_route(route) for route in routes if route not in EXIT_ROUTES),
        exit_routes=tuple(str(route) for route in routes if route in EXIT_ROUTES),
        created=f"{node.created_at:%Y-%m-%dT%H:%M:%S.%f}000",
        online=is_online,
        attributes=posture_attributes(node),
    )


def _route(prefix: Prefix) -> Route:
    first, last = int(prefix.network_address), int(prefix.broadcast_address)
    return Route(str(prefix), AddressRange(prefix.version, first, last))


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

    @cached_property
    def has_ssh(self) -> bool:
        """Whether any node can have SSH rules."""
        return bool(self.compiled.policy.ssh)

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
        return () if index is None or not self.has_ssh else self.compiled.ssh_policy(index)

    def ssh_rules(self, node_id: int) -> list[dict[str, Any]]:
        """Return a node's SSH rules in the wire's JSON."""
        index = self._index.get(node_id)
        if index is None or not self.has_ssh:
            return []
        return [rule.to_wire() for rule in self.compiled.ssh_policy(index)]


def wireguard_only(tailnet: Tailnet) -> frozenset[int]:
    """Return the numbers of the nodes that are plain WireGuard devices."""
    return frozenset(node.id for node in tailnet.nodes if node.is_wireguard_only)


def _within(sources: Iterable[str], own: IpSet) -> Texts:
    """Return the part of a rule's sources that lies in `own`; capabilities select no address."""
    try:
        found = IpSet.of_strings(sources) & own
    except AddressError:
        return ()
    return tuple(found.strings())


def structures(nodes: Iterable[NodeRecord], tailnet: Tailnet) -> dict[int, tuple[Any, ...]]:
    """Return the structure of each node by number."""
    return {node.id: structure_of(node, is_online=tailnet.is_online(node.id)) for node in nodes}
