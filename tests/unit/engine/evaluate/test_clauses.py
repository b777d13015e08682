from __future__ import annotations

import pytest

from engine.evaluate.clauses import clauses_of, source_set
from engine.netset import IpSet, PortSet
from engine.rules import (
    ALL_PORTS,
    CapGrant,
    FilterRule,
    MalformedRuleError,
    NetPortRange,
    PortRange,
)

WEB, ALT = PortRange(80, 80), PortRange(443, 443)


def test_destinations_with_the_same_ports_are_one_clause() -> None:
    rule = FilterRule(
        ("100.64.0.9",),
        (
            NetPortRange("100.64.0.20", WEB),
            NetPortRange("100.64.0.20", ALT),
            NetPortRange("fd7a:115c:a1e0::14", WEB),
            NetPortRange("fd7a:115c:a1e0::14", ALT),
        ),
    )
    (clause,) = clauses_of([rule])
    assert clause.rule == 0
    assert clause.sources == IpSet.of("100.64.0.9")
    assert clause.destinations == IpSet.of("100.64.0.20", "fd7a:115c:a1e0::14")
    assert clause.ports == PortSet.parse("80,443")
    assert clause.protocols == {1, 6, 17, 58}


def test_destinations_with_other_ports_are_clauses_of_their_own() -> None:
    rule = FilterRule(("*",), (NetPortRange("10.0.0.1", WEB), NetPortRange("10.0.0.2", ALT)))
    assert [(str(c.ports), c.destinations) for c in clauses_of([rule])] == [
        ("80", IpSet.of("10.0.0.1")),
        ("443", IpSet.of("10.0.0.2")),
    ]


def test_only_a_single_entry_with_all_ports_is_unrestricted() -> None:
    halves = (PortRange(0, 99), PortRange(100, 65535))
    rule = FilterRule(
        ("*",),
        (
            *(NetPortRange("10.0.0.1", half) for half in halves),
            NetPortRange("10.0.0.2", ALL_PORTS),
            NetPortRange("10.0.0.2", WEB),
        ),
    )
    assert [(c.ports.is_any, c.is_unrestricted) for c in clauses_of([rule])] == [
        (True, False),
        (True, True),
    ]


def test_a_rule_of_capabilities_has_no_clause() -> None:
    rule = FilterRule(("*",), cap_grants=(CapGrant(("10.0.0.1/32",), {"corp.test/cap/x": []}),))
    assert list(clauses_of([rule])) == []


def test_sources_by_capability_are_left_out() -> None:
    assert source_set(["cap:corp.test/x", "10.0.0.1"]) == IpSet.of("10.0.0.1")


@pytest.mark.parametrize(
    ("src", "dst"), [("10.0.0.300", "10.0.0.1"), ("10.0.0.1", "web"), ("", "10.0.0.1")]
)
def test_an_unreadable_address_names_its_rule(src: str, dst: str) -> None:
    good = FilterRule(("*",), (NetPortRange("*", ALL_PORTS),))
    bad = FilterRule((src,), (NetPortRange(dst, ALL_PORTS),))
    with pytest.raises(MalformedRuleError, match="filter rule 1: "):
        list(clauses_of([good, bad]))
