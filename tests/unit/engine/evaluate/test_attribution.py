"""Whose entries of a merged rule let a flow through."""

from __future__ import annotations

from engine.evaluate import Flow, allowing_origins
from engine.rules import ALL_PORTS, FilterRule, NetPortRange, Origin, PortRange

WEB, ALL, BOTH = Origin("acls", 0, 3), Origin("acls", 1, 4), Origin("grants", 0, 9)
RULE = FilterRule(
    ("*",),
    (
        NetPortRange("10.0.0.1", PortRange(80, 90)),
        NetPortRange("fd00::1", PortRange(80, 90)),
        NetPortRange("10.0.0.0/24", ALL_PORTS),
        NetPortRange("10.0.0.1-10.0.0.2", PortRange(85, 85)),
    ),
    (6, 47),
    origins=(WEB, ALL, BOTH),
    shares=(2, 1, 1),
)


def credited(dst: str, proto: int, port: int = 0) -> tuple[Origin, ...]:
    src = "fd00::9" if ":" in dst else "10.9.9.9"
    return allowing_origins(RULE, Flow.of(src, dst, proto, port))


def test_every_entry_that_opens_the_flow_counts() -> None:
    assert credited("10.0.0.1", 6, 85) == (WEB, ALL, BOTH)
    assert credited("10.0.0.1", 6, 80) == (WEB, ALL)
    assert credited("10.0.0.2", 6, 85) == (ALL, BOTH)
    assert credited("fd00::1", 6, 90) == (WEB,)


def test_protocols_without_ports_need_an_entry_with_all_of_them() -> None:
    assert credited("10.0.0.1", 47) == (ALL,)


def test_icmp_needs_the_destination_alone() -> None:
    assert credited("10.0.0.1", 1) == (WEB, ALL, BOTH)
    assert credited("fd00::1", 58) == (WEB,)


def test_a_rule_that_does_not_say_whose_entries_are_whose_names_all() -> None:
    vague = FilterRule(RULE.src_ips, RULE.dst_ports, origins=RULE.origins)
    assert allowing_origins(vague, Flow.of("10.9.9.9", "10.0.0.3", 6, 1)) == RULE.origins
