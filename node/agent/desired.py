"""What a netmap and a user's preferences come to on this node. A pure function of both.

Everything that the packet path and the host are told follows from one `Desired`, so that peers,
filter, addresses and routes always belong to the same netmap.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from engine.netset import IpSet
from engine.netset.constants import INTERNET_SET
from node.datapath.installed import Deputy
from node.netmap.fold import packet_filter, wireguard_only_filter
from node.transport.endpoint import Endpoint

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from control.wire import Prefix, WireNode
    from engine.rules import FilterRule
    from node.netmap.netmap import NetMap
    from node.state.preferences import Preferences

__all__ = [
    "Desired",
    "DesiredPeer",
    "desired",
    "find_peer",
    "have_same_origins",
    "home_region",
    "short_name",
]

_LEGACY_REGION_PREFIX: Final = "127.3.3.40:"
SERVICE_ADDRESSES: Final[tuple[Prefix, ...]] = (
    ipaddress.IPv4Network("100.100.100.100/32"),
    ipaddress.IPv6Network("fd7a:115c:a1e0::53/128"),
)
"""Where MagicDNS answers, inside every node."""


@dataclass(frozen=True, slots=True)
class DesiredPeer:
    """A peer that packets may be exchanged with. Keys are 32 raw bytes."""

    node_id: int
    node_key: bytes
    disco_key: bytes
    allowed_ips: tuple[Prefix, ...]
    endpoints: tuple[Endpoint, ...]
    home_region: int
    is_plain_wireguard: bool
    """Speaks neither disco nor DERP: packets go to its one endpoint."""


@dataclass(frozen=True, slots=True)
class Desired:
    """All that has to be so."""

    addresses: tuple[Prefix, ...]
    peers: tuple[DesiredPeer, ...]
    rules: tuple[FilterRule, ...]
    local: IpSet
    """What this node takes packets for."""
    routes: tuple[Prefix, ...]
    """What the host sends into the tunnel."""
    forwards: tuple[Prefix, ...]
    """Approved routes of ours, which the host must forward."""
    deputy: Deputy | None = None
    """What this node enforces for plain WireGuard peers, where the control server says."""
    exit_node_missing: bool = False
    """An exit node was chosen that is not there: what would go through it is lost, not leaked."""


def desired(
    netmap: NetMap, preferences: Preferences, now: datetime, around: Iterable[Prefix] = ()
) -> Desired:
    """Return what has to be so. An expired node has neither peers nor rules.

    `around` are the networks that this host is in.
    """
    own = netmap.self_node
    addresses = own.addresses or ()
    if netmap.is_expired(now) or own.expired:
        return Desired(addresses, (), (), IpSet(), (), ())
    exit_peer = find_peer(netmap, preferences.exit_node) if preferences.exit_node else None
    peers = tuple(
        _peer(peer, preferences, is_exit=exit_peer is not None and peer.id == exit_peer.id)
        for peer in netmap.peers.values()
        if not _is_over(peer, now)
    )
    forwards = tuple(prefix for prefix in own.allowed_ips or addresses if prefix not in addresses)
    routes = {prefix for peer in peers for prefix in peer.allowed_ips}
    if preferences.exit_node:
        # Both families are captured even where the exit node has one: nothing may leak past it.
        routes |= {ipaddress.IPv4Network("0.0.0.0/0"), ipaddress.IPv6Network("::/0")}
    has_exit = any(prefix.prefixlen == 0 for peer in peers for prefix in peer.allowed_ips)
    return Desired(
        addresses=addresses,
        peers=peers,
        rules=() if preferences.shields_up else packet_filter(netmap),
        local=_taken((*addresses, *forwards), around),
        routes=tuple(sorted(routes, key=lambda p: (p.version, p.prefixlen, int(p[0])))),
        forwards=forwards,
        deputy=_deputy(netmap, peers),
        exit_node_missing=bool(preferences.exit_node) and not has_exit,
    )


def have_same_origins(rules: tuple[FilterRule, ...], others: tuple[FilterRule, ...]) -> bool:
    """Return whether equal filters come from the same lines, which equality leaves out."""
    return all(
        rule is other or (rule.origins == other.origins and rule.shares == other.shares)
        for rule, other in zip(rules, others, strict=True)
    )


def find_peer(netmap: NetMap, text: str) -> WireNode | None:
    """Return the node, this one included, that a name, full name or address stands for."""
    wanted = text.rstrip(".").lower()
    for node in (netmap.self_node, *netmap.peers.values()):
        names = {node.name.rstrip(".").lower(), short_name(node).lower(), node.stable_id.lower()}
        addresses = {str(prefix.network_address) for prefix in node.addresses or ()}
        if wanted and wanted in names | addresses:
            return node
    return None


def short_name(node: WireNode) -> str:
    """Return the first label of a node's name."""
    return node.name.partition(".")[0]


def home_region(node: WireNode) -> int:
    """Return a node's home relay region, 0 for none; old servers write it as an address."""
    if node.home_derp:
        return node.home_derp
    number = node.derp.removeprefix(_LEGACY_REGION_PREFIX)
    return int(number) if number != node.derp and number.isdecimal() else 0


def _taken(prefixes: tuple[Prefix, ...], around: Iterable[Prefix]) -> IpSet:
    """Return what a node takes packets for: as an exit node the internet, not what is near it."""
    texts = [str(prefix) for prefix in prefixes if prefix.prefixlen]
    exits = [str(prefix) for prefix in prefixes if not prefix.prefixlen]
    near = IpSet.of_strings(map(str, around))
    return IpSet.of_strings(texts) | ((IpSet.of_strings(exits) & INTERNET_SET) - near)


def _deputy(netmap: NetMap, peers: tuple[DesiredPeer, ...]) -> Deputy | None:
    rules = wireguard_only_filter(netmap)
    if rules is None:
        return None
    plain = (peer for peer in peers if peer.is_plain_wireguard)
    return Deputy(rules, IpSet.of_strings(str(ip) for peer in plain for ip in peer.allowed_ips))


def _is_over(peer: WireNode, now: datetime) -> bool:
    return peer.expired or (peer.key_expiry is not None and peer.key_expiry <= now)


def _peer(peer: WireNode, preferences: Preferences, *, is_exit: bool) -> DesiredPeer:
    own = peer.addresses or ()
    allowed = own if peer.allowed_ips is None else peer.allowed_ips
    return DesiredPeer(
        node_id=peer.id,
        node_key=peer.key.raw,
        disco_key=peer.disco_key.raw,
        allowed_ips=tuple(
            prefix
            for prefix in allowed
            if prefix in own or (is_exit if prefix.prefixlen == 0 else preferences.accept_routes)
        ),
        endpoints=tuple(Endpoint(item.ip, item.port) for item in peer.endpoints or ()),
        home_region=home_region(peer),
        is_plain_wireguard=peer.is_wireguard_only,
    )
