"""The oracle by hand: where it is wrong, agreement with it means nothing."""

from __future__ import annotations

import pytest

from engine.evaluate import Flow, FlowKey, PacketHeader, Reason, reference
from engine.rules import ALL_PORTS, FilterRule, NetPortRange, PortRange

ANN, WEB = "100.64.0.9", "100.64.0.20"
SSH = FilterRule((ANN,), (NetPortRange(WEB, PortRange(22, 22)),), (6,))
GRE = FilterRule(("*",), (NetPortRange("10.0.0.0/8", ALL_PORTS),), (47,))
RULES = [SSH, GRE]


@pytest.mark.parametrize(
    ("flow", "rule"),
    [
        (Flow.of(ANN, WEB, 6, 22), 0),
        (Flow.of(ANN, WEB, 6, 23), None),
        (Flow.of(ANN, WEB, 17, 22), None),
        (Flow.of(WEB, ANN, 6, 22), None),
        (Flow.of(ANN, WEB, 1), 0),
        (Flow.of(WEB, "10.1.1.1", 47), 1),
        (Flow.of(WEB, "10.1.1.1", 50), None),
        (Flow.of("::1", "::2", 47), None),
    ],
)
def test_the_table_of_rules(flow: Flow, rule: int | None) -> None:
    assert reference.decide(RULES, flow).rule_index == rule
    assert reference.matching(RULES, flow) == (() if rule is None else (rule,))


def test_the_letter_of_rules_knows_no_exception_for_icmp() -> None:
    assert reference.covering(RULES, Flow.of(ANN, WEB, 1)) == ()
    assert reference.covering(RULES, Flow.of(ANN, WEB, 6, 22)) == (0,)
    assert reference.covering(RULES, Flow.of(ANN, WEB, 6, 23), any_port=True) == (0,)


@pytest.mark.parametrize(
    ("text", "prefixes"),
    [
        ("*", ["0.0.0.0/0", "::/0"]),
        ("10.0.0.1", ["10.0.0.1/32"]),
        ("10.9.9.9/16", ["10.9.0.0/16"]),
        ("10.0.0.1-10.0.0.2", ["10.0.0.1/32", "10.0.0.2/32"]),
        ("::1", ["::1/128"]),
    ],
)
def test_a_string_stands_for_prefixes(text: str, prefixes: list[str]) -> None:
    assert [str(network) for network in reference.networks(text)] == prefixes


def test_a_range_across_versions_is_refused() -> None:
    with pytest.raises(ValueError, match="mixes IP versions"):
        list(reference.networks("10.0.0.1-::1"))


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        (PacketHeader(4, 1, 2, 6, tcp_flags=0x02), Reason.NO_RULE),
        (PacketHeader(4, 1, 2, 6, tcp_flags=0x12), Reason.ESTABLISHED),
        (PacketHeader(4, 1, 2, 17, 5, 6), Reason.REPLY),
        (PacketHeader(4, 1, 2, 17, 6, 5), Reason.NO_RULE),
        (PacketHeader(4, 1, 2, 1, icmp_type=0), Reason.ICMP_REPLY),
        (PacketHeader(4, 1, 2, 1, icmp_type=8), Reason.NO_RULE),
        (PacketHeader(4, 1, 2, 99), Reason.TSMP),
        (PacketHeader(4, 1, 3, 99), Reason.NOT_LOCAL),
        (PacketHeader(4, 1, 3, 255), Reason.LATER_FRAGMENT),
        (PacketHeader(4, 1, 2, 0), Reason.UNKNOWN_PROTOCOL),
        (PacketHeader(4, 1, 0xE0000001, 255), Reason.MULTICAST),
        (PacketHeader(4, 1, 0xA9FE0001, 255), Reason.LINK_LOCAL),
        (PacketHeader(4, 9, 2, 99), Reason.SPOOFED),
    ],
)
def test_packets_come_to_an_end_at_the_right_check(header: PacketHeader, reason: Reason) -> None:
    began = {FlowKey(4, 17, src=2, src_port=6, dst=1, dst_port=5)}
    verdict = reference.inbound([], header, ["0.0.0.2"], began, sender=["0.0.0.1"])
    assert verdict.reason is reason


def test_an_exit_node_serves_the_internet_and_not_its_own_network() -> None:
    assert reference.is_local("8.8.8.8", [], ["0.0.0.0/0"])
    assert not reference.is_local("192.168.0.1", [], ["0.0.0.0/0"])
    assert not reference.is_local("8.8.8.8", [], ["0.0.0.0/0"], ["8.8.8.0/24"])
    assert reference.is_local("192.168.0.1", [], ["0.0.0.0/0", "192.168.0.0/24"])
