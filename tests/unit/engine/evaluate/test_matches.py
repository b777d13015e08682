from __future__ import annotations

import pytest

from engine.evaluate import match_form, packet_filter_matches
from engine.rules import CapGrant, FilterRule, MalformedRuleError, NetPortRange, PortRange

SSH = PortRange(22, 22)


def test_every_string_turns_into_prefixes_where_it_stands() -> None:
    rule = FilterRule(
        ("100.64.0.9", "10.0.0.1-10.0.0.4", "10.0.0.0/30"),
        (NetPortRange("*", SSH), NetPortRange("100.64.0.20", SSH)),
        (6,),
    )
    ports = {"First": 22, "Last": 22}
    assert match_form(rule) == {
        "IPProto": [6],
        "Srcs": ["100.64.0.9/32", "10.0.0.1/32", "10.0.0.2/31", "10.0.0.4/32", "10.0.0.0/30"],
        "SrcCaps": None,
        "Dsts": [
            {"Net": "0.0.0.0/0", "Ports": ports},
            {"Net": "::/0", "Ports": ports},
            {"Net": "100.64.0.20/32", "Ports": ports},
        ],
        "Caps": [],
    }


def test_the_default_protocols_are_spelled_out() -> None:
    assert match_form(FilterRule(("*",)))["IPProto"] == [6, 17, 1, 58]


def test_capabilities_are_listed_for_each_destination() -> None:
    grant = CapGrant(("100.64.0.20/32", "fd7a:115c:a1e0::14/128"), {"corp.test/cap/x": [{"r": 1}]})
    assert match_form(FilterRule(("*",), cap_grants=(grant,)))["Caps"] == [
        {"Dst": "100.64.0.20/32", "Cap": "corp.test/cap/x", "Values": [{"r": 1}]},
        {"Dst": "fd7a:115c:a1e0::14/128", "Cap": "corp.test/cap/x", "Values": [{"r": 1}]},
    ]


def test_sources_by_capability_are_kept_apart() -> None:
    matched = match_form(FilterRule(("cap:corp.test/x", "100.64.0.9")))
    assert (matched["Srcs"], matched["SrcCaps"]) == (["100.64.0.9/32"], ["corp.test/x"])


def test_a_filter_keeps_its_order() -> None:
    rules = [FilterRule(("*",), ip_proto=(proto,)) for proto in (17, 6)]
    assert [matched["IPProto"] for matched in packet_filter_matches(rules)] == [[17], [6]]


def test_an_unreadable_address_is_refused() -> None:
    with pytest.raises(MalformedRuleError, match="'nowhere'"):
        match_form(FilterRule(("nowhere",)))
