"""The shape that scripts read."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from control.wire import DerpMap, DerpRegion, DnsConfig, DnsRecord
from node.agent.status import BackendState, PeerTraffic, Snapshot, status_json
from node.cli.status import render_status
from node.state.preferences import Preferences
from tests.support.netmaps import netmap, wire_node

REGIONS = DerpMap(regions={5: DerpRegion(region_id=5, region_code="nyc")})


def status(*peers: Any, **values: Any) -> dict[str, Any]:
    merged: dict[str, Any] = {
        "version": "1",
        "state": BackendState.RUNNING,
        "preferences": Preferences(),
        "netmap": netmap(*peers, derp_map=REGIONS),
        "is_online": True,
        **values,
    }
    return status_json(Snapshot(**merged))


def test_peers_are_named_by_their_keys() -> None:
    peer = wire_node(2, "web", home_derp=5)
    found = status(peer)["Peer"]
    assert list(found) == [peer.key.to_text()]
    assert found[peer.key.to_text()]["Relay"] == "nyc"
    assert found[peer.key.to_text()]["DNSName"] == "web.tail.example."


def test_direct_peer_has_an_address_and_a_relayed_one_has_none() -> None:
    direct, relayed = wire_node(2), wire_node(3)
    found = status(
        direct, relayed, traffic={direct.key.raw: PeerTraffic(current_address="192.0.2.1:1")}
    )["Peer"]
    assert found[direct.key.to_text()]["CurAddr"] == "192.0.2.1:1"
    assert found[relayed.key.to_text()]["CurAddr"] == ""


def test_times_that_never_were_are_the_zero_time() -> None:
    [peer] = status(wire_node(2))["Peer"].values()
    assert peer["LastHandshake"] == "0001-01-01T00:00:00Z"


def test_node_without_a_netmap_has_a_status() -> None:
    found = status(netmap=None, state=BackendState.NEEDS_LOGIN, auth_url="https://a/register/1")
    assert (found["Self"], found["Peer"], found["TailscaleIPs"]) == (None, {}, None)
    assert render_status(found) == "Logged out.\nLog in at: https://a/register/1"


def test_table_begins_with_this_node_and_says_how_peers_are_reached() -> None:
    direct, relayed = wire_node(2, "zoe"), wire_node(3, "bob", home_derp=5, online=False)
    traffic = {
        direct.key.raw: PeerTraffic(1, 2, current_address="192.0.2.1:1", is_active=True),
        relayed.key.raw: PeerTraffic(3, 4, is_active=True),
    }
    assert render_status(status(direct, relayed, traffic=traffic)).splitlines() == [
        "100.64.0.1  own  ann@    -",
        '100.64.0.3  bob  ann@    active; relay "nyc"; offline, tx 4 rx 3',
        "100.64.0.2  zoe  ann@    active; direct 192.0.2.1:1, tx 2 rx 1",
    ]


def test_offline_peer_was_last_seen_some_time_ago() -> None:
    seen = datetime.now(UTC) - timedelta(hours=5, minutes=2)
    lines = render_status(status(wire_node(2, online=False, last_seen=seen))).splitlines()
    assert lines[1].endswith("offline, last seen 5h ago")


def test_this_node_may_be_left_out() -> None:
    assert "own" not in render_status(status(wire_node(2, "web")), shows_self=False)
    assert render_status(status(), shows_self=False) == ""


def test_extra_records_are_listed() -> None:
    config = DnsConfig(extra_records=(DnsRecord(name="x.tail.example", value="100.64.0.9"),))
    held = netmap(dns_config=config)
    assert status(netmap=held)["ExtraRecords"] == [
        {"Name": "x.tail.example", "Type": "", "Value": "100.64.0.9"}
    ]
