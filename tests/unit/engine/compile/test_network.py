from __future__ import annotations

import json

from engine.compile.network import CompiledNetwork
from engine.directory import Directory
from tests.support.small_tailnet import ADA, PORT, SHOP, SLATE, accept, network, policy, v4, v6


def test_a_node_is_told_everything_in_the_wires_spelling() -> None:
    told = network(SLATE, SHOP, acls=[accept([ADA], ["tag:shop:80"])]).node_to_wire(1)
    assert json.loads(json.dumps(told)) == told
    assert list(told) == ["packetFilter", "sshPolicy", "peers", "selfAllowedIPs", "selfCapMap"]
    assert told["sshPolicy"] == {"rules": []}
    assert told["selfAllowedIPs"] == [f"{v4(20)}/32", f"{v6(20)}/128"]
    assert told["peers"] == {
        "slate": {"allowedIPs": [f"{v4(10)}/32", f"{v6(10)}/128"], "primaryRoutes": []}
    }


def test_a_peer_has_capabilities_only_where_there_are_any() -> None:
    told = network(SLATE, PORT, acls=[accept([ADA], ["tag:port:80"])]).node_to_wire(0)
    assert told["peers"]["port"]["capMap"] == {"suggest-exit-node": None}


def test_parts_are_worked_out_once() -> None:
    compiled = network(SLATE, SHOP, acls=[])
    assert compiled.packet_filters is compiled.packet_filters
    assert compiled.peers is compiled.peers


def test_a_tailnet_without_devices_compiles() -> None:
    assert CompiledNetwork(policy(), Directory((), ())).packet_filters == ()
