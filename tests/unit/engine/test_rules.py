from __future__ import annotations

from typing import Any

import pytest

from engine.rules import (
    ALL_PORTS,
    CapGrant,
    FilterRule,
    MalformedRuleError,
    NetPortRange,
    Origin,
    PortRange,
)

PORTS = {
    "SrcIPs": ["100.64.0.9", "fd7a:115c:a1e0::9"],
    "DstPorts": [{"IP": "100.64.0.20", "Ports": {"First": 443, "Last": 443}}],
    "IPProto": [6],
}
CAPS = {
    "SrcIPs": ["100.64.0.9"],
    "CapGrant": [
        {"Dsts": ["100.64.0.20/32"], "CapMap": {"corp.test/cap/x": [{"r": 1}], "corp.test/y": None}}
    ],
}


def test_a_rule_of_ports_is_read() -> None:
    assert FilterRule.from_wire(PORTS) == FilterRule(
        ("100.64.0.9", "fd7a:115c:a1e0::9"),
        (NetPortRange("100.64.0.20", PortRange(443, 443)),),
        (6,),
    )


def test_a_rule_of_capabilities_is_read() -> None:
    cap_map = {"corp.test/cap/x": [{"r": 1}], "corp.test/y": None}
    assert FilterRule.from_wire(CAPS) == FilterRule(
        ("100.64.0.9",), cap_grants=(CapGrant(("100.64.0.20/32",), cap_map),)
    )


@pytest.mark.parametrize("wire", [PORTS, CAPS, {**PORTS, **CAPS}])
def test_the_wire_form_round_trips(wire: dict[str, Any]) -> None:
    assert FilterRule.from_wire(wire).to_wire() == wire


def test_unknown_keys_are_ignored() -> None:
    assert FilterRule.from_wire({**PORTS, "Extra": 1}) == FilterRule.from_wire(PORTS)


@pytest.mark.parametrize("key", ["SrcIPs", "DstPorts", "IPProto", "CapGrant"])
def test_null_and_absent_are_the_same(key: str) -> None:
    without = {name: value for name, value in PORTS.items() if name != key}
    assert FilterRule.from_wire({**PORTS, key: None}) == FilterRule.from_wire(without)


def test_an_empty_protocol_list_means_the_default() -> None:
    rule = FilterRule.from_wire({**PORTS, "IPProto": []})
    assert rule.ip_proto is None
    assert rule.protocols == (6, 17, 1, 58)
    assert "IPProto" not in rule.to_wire()


def test_capabilities_in_the_old_list_have_no_values() -> None:
    wire = {"Dsts": ["10.0.0.1/32"], "Caps": ["corp.test/x"], "CapMap": {"corp.test/y": [1]}}
    (grant,) = FilterRule.from_wire({"CapGrant": [wire]}).cap_grants
    assert grant.cap_map == {"corp.test/x": None, "corp.test/y": [1]}


@pytest.mark.parametrize(
    ("wire", "where"),
    [
        (None, "expected an object"),
        ([], "expected an object"),
        ({"SrcIPs": "*"}, "SrcIPs"),
        ({"SrcIPs": [1]}, "SrcIPs"),
        ({"DstPorts": {}}, "DstPorts"),
        ({"DstPorts": [None]}, "DstPorts"),
        ({"DstPorts": [{"IP": "*"}]}, "DstPorts"),
        ({"DstPorts": [{"IP": 1, "Ports": {"First": 1, "Last": 1}}]}, "DstPorts"),
        ({"DstPorts": [{"IP": "*", "Ports": {"First": 2, "Last": 1}}]}, "DstPorts"),
        ({"DstPorts": [{"IP": "*", "Ports": {"First": 0, "Last": 65536}}]}, "DstPorts"),
        ({"DstPorts": [{"IP": "*", "Ports": {"First": False, "Last": True}}]}, "DstPorts"),
        ({"DstPorts": [{"IP": "*", "Ports": {"First": 1.0, "Last": 2.0}}]}, "DstPorts"),
        ({"IPProto": 6}, "IPProto"),
        ({"IPProto": [256]}, "IPProto"),
        ({"IPProto": ["tcp"]}, "IPProto"),
        ({"CapGrant": {}}, "CapGrant"),
        ({"CapGrant": ["x"]}, "CapGrant"),
        ({"CapGrant": [{"CapMap": []}]}, "CapMap"),
        ({"CapGrant": [{"CapMap": {"corp.test/x": {}}}]}, "CapMap"),
        ({"CapGrant": [{"Dsts": "10.0.0.1/32"}]}, "Dsts"),
        ({"CapGrant": [{"Caps": [None]}]}, "Caps"),
    ],
)
def test_a_malformed_rule_says_where(wire: object, where: str) -> None:
    with pytest.raises(MalformedRuleError, match=where):
        FilterRule.from_wire(wire)


def test_origins_travel_where_they_are_asked_for() -> None:
    rule = FilterRule(
        ("*",),
        (NetPortRange("*", ALL_PORTS), NetPortRange("10.0.0.1", ALL_PORTS)),
        origins=(Origin("acls", 0, 3), Origin("grants", 2, 9)),
        shares=(1, 1),
    )
    wire = rule.to_wire(with_origins=True)
    assert wire["PosternOrigins"] == [["acls", 0, 3, 1], ["grants", 2, 9, 1]]
    read = FilterRule.from_wire(wire)
    assert (read, read.origins, read.shares) == (rule, rule.origins, rule.shares)


@pytest.mark.parametrize("odd", [7, [7], [["acls", 0, 3]], [["acls", 0, 3, -1]], [[0, 0, 3, 1]]])
def test_odd_origins_leave_the_rule_as_it_is(odd: object) -> None:
    rule = FilterRule(("*",), (NetPortRange("*", ALL_PORTS),))
    read = FilterRule.from_wire({**rule.to_wire(), "PosternOrigins": odd})
    assert (read, read.origins) == (rule, ())


def test_shares_that_do_not_add_up_are_not_believed() -> None:
    rule = FilterRule(("*",), (NetPortRange("*", ALL_PORTS),))
    read = FilterRule.from_wire({**rule.to_wire(), "PosternOrigins": [["acls", 0, 3, 2]]})
    assert (read.origins, read.shares) == ((Origin("acls", 0, 3),), ())


def test_origins_are_no_part_of_equality_nor_of_the_wire() -> None:
    rule = FilterRule(("*",), (NetPortRange("*", ALL_PORTS),))
    traced = FilterRule(rule.src_ips, rule.dst_ports, origins=(Origin("acls", 0, 1),))
    assert traced == rule
    assert traced.to_wire() == rule.to_wire()
