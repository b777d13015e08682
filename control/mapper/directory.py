"""The tailnet as the policy compiler sees it, made from what the registry holds."""

from __future__ import annotations

from ipaddress import ip_network
from typing import TYPE_CHECKING, Any

from control.policies.applicants import group_names
from engine.directory import Directory, DirectoryNode, DirectoryUser, Route, Settings
from engine.netset.address import Address
from engine.netset.ranges import AddressRange

if TYPE_CHECKING:
    from control.registry.tailnet import Tailnet
    from control.store.records import NodeRecord, UserRecord
    from control.wire import Prefix

__all__ = [
    "KnownNodes",
    "directory_of",
    "effective_routes",
    "posture_attributes",
    "structure_of",
    "wireguard_only",
]

_EXIT_ROUTES = frozenset({ip_network("0.0.0.0/0"), ip_network("::/0")})


def effective_routes(node: NodeRecord) -> tuple[Prefix, ...]:
    """Return the routes that are advertised and approved, as advertised.

    Approving one of the two exit routes approves both.
    """
    approved = set(node.approved_routes)
    if approved & _EXIT_ROUTES:
        approved |= _EXIT_ROUTES
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
        routes=tuple(_route(route) for route in routes if route not in _EXIT_ROUTES),
        exit_routes=tuple(str(route) for route in routes if route in _EXIT_ROUTES),
        created=f"{node.created_at:%Y-%m-%dT%H:%M:%S.%f}000",
        online=is_online,
        attributes=posture_attributes(node),
    )


def _route(prefix: Prefix) -> Route:
    first, last = int(prefix.network_address), int(prefix.broadcast_address)
    return Route(str(prefix), AddressRange(prefix.version, first, last))


def wireguard_only(tailnet: Tailnet) -> frozenset[int]:
    """Return the numbers of the nodes that are plain WireGuard devices."""
    return frozenset(node.id for node in tailnet.nodes if node.is_wireguard_only)
