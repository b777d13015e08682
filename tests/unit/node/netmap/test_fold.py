"""Folding: absent is unchanged, and the order inside one message is fixed."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from control.keys import NodePublic
from control.wire import (
    ZERO_TIME,
    DerpMap,
    DerpRegion,
    DisplayMessage,
    DnsConfig,
    MapResponse,
    PeerChange,
    UserProfile,
    WireNode,
)
from engine.rules import ALL_PORTS, FilterRule, NetPortRange
from node.netmap.fold import FoldError, NetMapChange, fold, packet_filter

if TYPE_CHECKING:
    from node.netmap.netmap import NetMap

NOW = datetime(2026, 1, 2, tzinfo=UTC)
ALLOW = FilterRule(src_ips=("*",), dst_ports=(NetPortRange("*", ALL_PORTS),))


def node(number: int, **values: Any) -> WireNode:
    return WireNode(id=number, key=NodePublic(bytes([number]) * 32), **values)


SELF = node(1)
FULL = MapResponse(
    node=SELF,
    peers=(node(3), node(2)),
    packet_filters={"base": (ALLOW,)},
    dns_config=DnsConfig(proxied=True),
    derp_map=DerpMap(regions={900: DerpRegion(region_id=900)}),
    domain="tail.example",
    user_profiles=(UserProfile(id=1, login_name="ann"),),
)


def held(**changes: Any) -> NetMap:
    return fold(None, replace(FULL, **changes), NOW)[0]


def after(message: MapResponse, **changes: Any) -> tuple[NetMap, NetMapChange]:
    return fold(held(**changes), message, NOW)


def test_first_message_must_have_the_node_itself() -> None:
    with pytest.raises(FoldError):
        fold(None, MapResponse(peers=()), NOW)


def test_first_message_makes_the_map() -> None:
    netmap, change = fold(None, FULL, NOW)
    assert list(netmap.peers) == [2, 3]
    assert packet_filter(netmap) == (ALLOW,)
    assert change.is_self
    assert change.is_filter
    assert change.added == {2, 3}


def test_empty_message_changes_nothing() -> None:
    netmap, change = after(MapResponse())
    assert netmap == held()
    assert change == NetMapChange()


def test_empty_list_of_peers_changes_nothing() -> None:
    assert list(after(MapResponse(peers=()))[0].peers) == [2, 3]


def test_list_of_peers_voids_the_deltas_beside_it() -> None:
    message = MapResponse(
        peers=(node(4),), peers_changed=(node(5),), peers_removed=(4,), online_change={4: True}
    )
    netmap, change = after(message)
    assert list(netmap.peers) == [4]
    assert netmap.peers[4].online is None
    assert (change.added, change.removed) == (frozenset({4}), frozenset({2, 3}))


def test_peer_removed_and_changed_in_one_message_is_there() -> None:
    netmap, change = after(MapResponse(peers_removed=(2, 99), peers_changed=(node(2, cap=7),)))
    assert netmap.peers[2].cap == 7
    assert change.changed == {2}
    assert not change.removed


def test_peers_stay_in_order() -> None:
    assert list(after(MapResponse(peers_changed=(node(9), node(1))))[0].peers) == [1, 2, 3, 9]


def test_patch_changes_what_it_says_and_nothing_else() -> None:
    key = NodePublic(bytes([7]) * 32)
    patch = PeerChange(node_id=2, key=key, derp_region=5, online=True, key_expiry=NOW)
    netmap, _ = after(MapResponse(peers_changed_patch=(patch,)))
    assert netmap.peers[2] == replace(node(2), key=key, home_derp=5, online=True, key_expiry=NOW)


def test_zero_time_in_a_patch_means_never() -> None:
    patch = PeerChange(node_id=2, key_expiry=ZERO_TIME)
    netmap, _ = after(MapResponse(peers_changed_patch=(patch,)), peers=(node(2, key_expiry=NOW),))
    assert netmap.peers[2].key_expiry is None


def test_patch_for_an_unknown_peer_is_ignored() -> None:
    patch = PeerChange(node_id=99, online=True)
    assert after(MapResponse(peers_changed_patch=(patch,)))[0] == held()


def test_seen_and_online_changes() -> None:
    netmap, _ = after(
        MapResponse(peer_seen_change={2: True, 3: False}, online_change={2: False, 99: True})
    )
    assert (netmap.peers[2].last_seen, netmap.peers[2].online) == (NOW, False)
    assert netmap.peers[3].last_seen is None


def test_empty_filter_denies_all() -> None:
    netmap, change = after(MapResponse(packet_filters={"base": ()}))
    assert packet_filter(netmap) == ()
    assert change.is_filter


def test_regions_are_replaced_as_a_whole_but_only_when_named() -> None:
    assert after(MapResponse(derp_map=DerpMap()))[0].derp_map == held().derp_map
    new = DerpMap(regions={901: DerpRegion(region_id=901), 900: None})
    changed = after(MapResponse(derp_map=new))[0].derp_map
    assert changed is not None
    assert list(changed.regions or {}) == [901]


def test_empty_dns_configuration_turns_dns_off() -> None:
    assert after(MapResponse(dns_config=DnsConfig()))[0].dns_config == DnsConfig()


def test_profiles_add_up() -> None:
    message = MapResponse(user_profiles=(UserProfile(id=2, login_name="bo"),))
    assert sorted(after(message)[0].user_profiles) == [1, 2]


def test_messages_are_deleted_by_null_and_cleared_by_a_star() -> None:
    one, two = DisplayMessage(title="1"), DisplayMessage(title="2")
    netmap, _ = after(MapResponse(display_messages={"a": one, "b": two}))
    netmap, _ = fold(netmap, MapResponse(display_messages={"a": None}), NOW)
    assert netmap.display_messages == {"b": two}
    netmap, _ = fold(netmap, MapResponse(display_messages={"*": None, "c": one}), NOW)
    assert netmap.display_messages == {"c": one}


def test_folding_leaves_the_old_map_alone() -> None:
    before = held()
    fold(before, MapResponse(peers_removed=(2, 3)), NOW)
    assert before == held()


def test_own_expiry() -> None:
    assert held(node=node(1, key_expiry=NOW)).is_expired(NOW)
    assert not held().is_expired(NOW)
