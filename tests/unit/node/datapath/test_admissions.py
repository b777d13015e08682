"""Which flows were let in, by which line of the policy."""

from __future__ import annotations

from engine.evaluate import PacketHeader
from engine.netset import parse_v4
from engine.rules import FilterRule, NetPortRange, Origin, PortRange
from node.datapath.admissions import AdmissionLog

RULE = FilterRule(
    ("100.64.0.2",),
    (NetPortRange("100.64.0.1", PortRange(22, 22)), NetPortRange("*", PortRange(80, 80))),
    (6,),
    origins=(Origin("acls", 1, 12), Origin("grants", 0, 30)),
    shares=(1, 1),
)


def header(port: int) -> PacketHeader:
    return PacketHeader(4, parse_v4("100.64.0.2"), parse_v4("100.64.0.1"), 6, 40000, port)


def test_the_line_is_that_of_the_entry_that_allows() -> None:
    log = AdmissionLog()
    log.add(header(80), 3, RULE, 1.0)
    [admission] = log.recent
    assert admission.origins == (Origin("grants", 0, 30),)
    assert str(admission) == (
        "allowed in tcp 100.64.0.2:40000 -> 100.64.0.1:80: rule 3, grants[0] line 30"
    )
    assert list(log.unwritten) == [admission]


def test_without_origins_that_is_said() -> None:
    log = AdmissionLog()
    log.add(header(22), 0, FilterRule(RULE.src_ips, RULE.dst_ports, RULE.ip_proto), 1.0)
    assert str(log.recent[0]).endswith("rule 0, policy line not known")


def test_a_flood_is_counted_not_logged() -> None:
    log = AdmissionLog()
    for _ in range(30):
        log.add(header(22), 0, RULE, 1.0)
    assert log.suppressed == 10
    log.add(header(22), 0, RULE, 9.0)
    assert str(log.recent[-1]).endswith("acls[1] line 12 (10 more not logged)")
