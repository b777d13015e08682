"""Folding messages of a map stream into a NetMap (control reference 4.5).

Absent means unchanged. The order in which the parts of one message apply is part of the protocol:
a node that is removed and changed in one message is there afterwards.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from control.wire import ZERO_TIME, DerpMap
from control.wire.filter import (
    WIREGUARD_ONLY_FILTER,
    combined,
    updated,
    with_filter_origins,
)
from node.netmap.netmap import NetMap

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from control.wire import MapResponse, PeerChange, WireNode
    from engine.rules import FilterRule

__all__ = ["FoldError", "NetMapChange", "fold", "packet_filter", "wireguard_only_filter"]


class FoldError(ValueError):
    """A first message without the node itself: the stream is of no use."""


@dataclass(frozen=True, slots=True)
class NetMapChange:
    """Which parts of a NetMap a message changed."""

    added: frozenset[int] = frozenset()
    changed: frozenset[int] = frozenset()
    removed: frozenset[int] = frozenset()
    is_self: bool = False
    is_filter: bool = False
    is_derp_map: bool = False
    is_dns: bool = False
    is_ssh: bool = False


def fold(held: NetMap | None, message: MapResponse, now: datetime) -> tuple[NetMap, NetMapChange]:
    """Return the NetMap after a message, and what is new in it. `held` is left as it was.

    Raises FoldError where the first message lacks the node itself.
    """
    if held is None:
        if message.node is None:
            raise FoldError("the first message of the map stream lacks the node itself")
        held = NetMap(self_node=message.node)
        is_first = True
    else:
        is_first = False
    peers = _peers(held.peers, message, now)
    filters = updated(held.filters, message.packet_filter, message.packet_filters)
    if message.filter_origins:
        filters = with_filter_origins(filters, message.filter_origins)
    after = replace(
        held,
        self_node=message.node or held.self_node,
        peers=peers,
        user_profiles={
            **held.user_profiles,
            **{profile.id: profile for profile in message.user_profiles or ()},
        },
        derp_map=_derp_map(held.derp_map, message.derp_map),
        filters=filters,
        dns_config=_either(message.dns_config, held.dns_config),
        ssh_policy=_either(message.ssh_policy, held.ssh_policy),
        domain=message.domain or held.domain,
        collect_services=_either(message.collect_services, held.collect_services),
        health=_either(message.health, held.health),
        display_messages=_display_messages(held, message),
        control_time=_either(message.control_time, held.control_time),
    )
    return after, _difference(held, after, is_first=is_first)


def packet_filter(netmap: NetMap) -> tuple[FilterRule, ...]:
    """Return the rules to enforce, those of all lists together."""
    return combined(
        {name: rules for name, rules in netmap.filters.items() if name != WIREGUARD_ONLY_FILTER}
    )


def wireguard_only_filter(netmap: NetMap) -> tuple[FilterRule, ...] | None:
    """Return what this node may send to plain WireGuard peers; None: the server does not say."""
    return netmap.filters.get(WIREGUARD_ONLY_FILTER)


def _either(new: Any, old: Any) -> Any:
    return old if new is None else new


def _peers(
    held: Mapping[int, WireNode], message: MapResponse, now: datetime
) -> Mapping[int, WireNode]:
    if message.peers:
        # An authoritative list: every delta in the same message is void.
        return {peer.id: peer for peer in sorted(message.peers, key=lambda peer: peer.id)}
    if not (
        message.peers_removed
        or message.peers_changed
        or message.peers_changed_patch
        or message.peer_seen_change
        or message.online_change
    ):
        return held
    peers = dict(held)
    for node_id in message.peers_removed or ():
        peers.pop(node_id, None)
    for peer in message.peers_changed or ():
        peers[peer.id] = peer
    for node_id, is_seen in (message.peer_seen_change or {}).items():
        _change(peers, node_id, last_seen=now if is_seen else None)
    for node_id, is_online in (message.online_change or {}).items():
        _change(peers, node_id, online=is_online)
    for patch in message.peers_changed_patch or ():
        _change(peers, patch.node_id, **_values(patch))
    return peers if peers.keys() == held.keys() else dict(sorted(peers.items()))


def _change(peers: dict[int, WireNode], node_id: int, **values: Any) -> None:
    peer = peers.get(node_id)
    if peer is not None and values:
        peers[node_id] = replace(peer, **values)


def _values(patch: PeerChange) -> dict[str, Any]:
    """Return the fields that a patch gives a peer."""
    said = {
        "cap_map": patch.cap_map,
        "endpoints": patch.endpoints,
        "key": patch.key,
        "key_signature": patch.key_signature,
        "disco_key": patch.disco_key,
        "online": patch.online,
        "last_seen": patch.last_seen,
        "key_expiry": patch.key_expiry,
        "home_derp": patch.derp_region or None,
        "cap": patch.cap or None,
    }
    values: dict[str, Any] = {name: value for name, value in said.items() if value is not None}
    if values.get("key_expiry") == ZERO_TIME:
        values["key_expiry"] = None
    return values


def _derp_map(held: DerpMap | None, new: DerpMap | None) -> DerpMap | None:
    if new is None or held is None:
        return _without_nulls(new) if new is not None else held
    if new.regions is None:
        return replace(held, home_params=new.home_params or held.home_params)
    return _without_nulls(replace(new, home_params=new.home_params or held.home_params))


def _without_nulls(derp_map: DerpMap) -> DerpMap:
    regions = {
        number: region for number, region in (derp_map.regions or {}).items() if region is not None
    }
    return replace(derp_map, regions=regions)


def _display_messages(held: NetMap, message: MapResponse) -> Mapping[str, Any]:
    if message.display_messages is None:
        return held.display_messages
    is_cleared = message.display_messages.get("*", ...) is None
    shown = {} if is_cleared else dict(held.display_messages)
    for name, each in message.display_messages.items():
        if each is not None:
            shown[name] = each
        else:
            shown.pop(name, None)
    return shown


def _difference(before: NetMap, after: NetMap, *, is_first: bool) -> NetMapChange:
    old, new = before.peers, after.peers
    if old is new:
        added: Iterable[int] = ()
        changed: Iterable[int] = ()
        removed: Iterable[int] = ()
    else:
        added, removed = new.keys() - old.keys(), old.keys() - new.keys()
        changed = [n for n in new.keys() & old.keys() if new[n] is not old[n] and new[n] != old[n]]
    return NetMapChange(
        added=frozenset(added),
        changed=frozenset(changed),
        removed=frozenset(removed),
        is_self=is_first or before.self_node != after.self_node,
        is_filter=is_first or before.filters != after.filters,
        is_derp_map=before.derp_map != after.derp_map,
        is_dns=before.dns_config != after.dns_config,
        is_ssh=before.ssh_policy != after.ssh_policy,
    )
