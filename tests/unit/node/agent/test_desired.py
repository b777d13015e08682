"""From netmap and preferences to peers, filter, addresses and routes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from engine.netset import Address, IpSet
from engine.rules import FilterRule, NetPortRange, PortRange
from node.agent.desired import Desired, desired, find_peer, home_region
from node.datapath.installed import Deputy
from node.state.preferences import Preferences
from tests.support.netmaps import netmap, prefixes, wire_node

NOW = datetime(2026, 3, 1, tzinfo=UTC)
RULE = FilterRule(("100.64.0.2",), (NetPortRange("100.64.0.1", PortRange(22, 22)),))
SUBNET = "10.1.0.0/16"
HOSTS = ("100.64.0.2/32", "fd7a:115c:a1e0::2/128")


def router(number: int = 2, *routes: str) -> object:
    return wire_node(number, "router", allowed_ips=prefixes(*HOSTS, *routes))


def texts(networks: tuple[object, ...]) -> list[str]:
    return [str(network) for network in networks]


def made(*peers: object, preferences: Preferences | None = None, **values: object) -> Desired:
    return desired(netmap(*peers, **values), preferences or Preferences(), NOW)  # type: ignore[arg-type]


def test_peer_is_reached_at_its_own_addresses() -> None:
    found = made(wire_node(2))
    assert texts(found.peers[0].allowed_ips) == list(HOSTS)
    assert texts(found.routes) == list(HOSTS)


def test_subnets_are_used_only_when_accepted() -> None:
    assert SUBNET not in texts(made(router(2, SUBNET)).routes)
    accepting = Preferences(accept_routes=True)
    assert SUBNET in texts(made(router(2, SUBNET), preferences=accepting).routes)


def test_exit_routes_come_from_the_chosen_node_alone() -> None:
    exits = ("0.0.0.0/0", "::/0")
    accepting = Preferences(accept_routes=True)
    assert not {*exits} & {*texts(made(router(2, *exits), preferences=accepting).routes)}
    found = made(router(2, *exits), preferences=Preferences(exit_node="router"))
    assert {*exits} <= {*texts(found.routes)}
    assert {*exits} <= {*texts(found.peers[0].allowed_ips)}
    assert not found.exit_node_missing


def test_missing_exit_node_captures_everything_all_the_same() -> None:
    found = made(wire_node(3), preferences=Preferences(exit_node="gone"))
    assert {"0.0.0.0/0", "::/0"} <= {*texts(found.routes)}
    assert found.exit_node_missing


@pytest.mark.parametrize(
    "values", [{"expired": True}, {"key_expiry": NOW - timedelta(seconds=1)}, {"key_expiry": NOW}]
)
def test_expired_peer_is_left_out(values: dict[str, Any]) -> None:
    assert made(wire_node(2, **values)).peers == ()


def test_expired_node_has_neither_peers_nor_rules() -> None:
    own = wire_node(1, "own", key_expiry=NOW - timedelta(seconds=1))
    found = made(wire_node(2), own=own, filters={"base": (RULE,)})
    assert (found.peers, found.rules, found.routes) == ((), (), ())


def test_rules_are_those_of_the_netmap() -> None:
    assert made(filters={"base": (RULE,)}).rules == (RULE,)


def test_shields_up_lets_nobody_in() -> None:
    assert made(filters={"base": (RULE,)}, preferences=Preferences(shields_up=True)).rules == ()


def test_approved_routes_are_taken_and_forwarded() -> None:
    own = wire_node(
        1, "own", allowed_ips=prefixes("100.64.0.1/32", "fd7a:115c:a1e0::1/128", SUBNET)
    )
    found = made(own=own)
    assert texts(found.forwards) == [SUBNET]
    assert Address.parse("10.1.2.3") in found.local
    assert Address.parse("10.2.0.1") not in found.local


@pytest.mark.parametrize("text", ["web", "WEB", "web.tail.example", "web.tail.example.", "n2",
                                  "100.64.0.2", "fd7a:115c:a1e0::2"])  # fmt: skip
def test_peer_is_found_by_name_and_address(text: str) -> None:
    found = find_peer(netmap(wire_node(2, "web")), text)
    assert found is not None
    assert found.id == 2


@pytest.mark.parametrize("text", ["", "we", "100.64.0.9"])
def test_stranger_is_not_found(text: str) -> None:
    assert find_peer(netmap(wire_node(2, "web")), text) is None


@pytest.mark.parametrize(
    ("values", "region"),
    [({"home_derp": 5}, 5), ({"derp": "127.3.3.40:7"}, 7), ({"derp": "192.0.2.1:7"}, 0), ({}, 0)],
)
def test_home_region_in_both_spellings(values: dict[str, Any], region: int) -> None:
    assert home_region(wire_node(2, **values)) == region


def test_node_stands_in_for_plain_devices_where_the_server_says_so() -> None:
    device = wire_node(2, is_wireguard_only=True)
    assert made(device).deputy is None, "the server does not say"
    sending = {"base": (RULE,), "wireguard-only": ()}
    found = made(device, wire_node(3), filters=sending)
    assert found.deputy == Deputy((), IpSet.of("100.64.0.2", "fd7a:115c:a1e0::2"))
    assert found.rules == (RULE,), "what may be sent lets nobody in"
