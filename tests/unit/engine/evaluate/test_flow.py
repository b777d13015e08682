from __future__ import annotations

import pytest

from engine.evaluate import Flow, FlowKey, PacketHeader, Reason, Verdict
from engine.netset import AddressError
from engine.rules import FilterRule, Origin


def test_a_flow_is_read_from_texts() -> None:
    assert Flow.of("100.64.0.9", "100.64.0.20", 6, 443) == (4, 0x64400009, 0x64400014, 6, 443)


def test_a_flow_stays_within_one_ip_version() -> None:
    with pytest.raises(AddressError, match="no flow between IPv4 and IPv6"):
        Flow.of("100.64.0.9", "fd7a:115c:a1e0::14", 6, 443)


def test_a_flow_shows_its_ends() -> None:
    assert str(Flow.of("::1", "::2", 6, 443)) == "tcp ::1 -> ::2 port 443"


def test_reversing_a_key_swaps_both_ends() -> None:
    key = FlowKey(4, 17, src=1, src_port=10, dst=2, dst_port=20)
    assert key.reversed() == FlowKey(4, 17, src=2, src_port=20, dst=1, dst_port=10)
    assert key.reversed().reversed() == key


def test_a_key_asks_about_its_destination_port() -> None:
    assert FlowKey(4, 17, 1, 10, 2, 20).flow == Flow(4, 1, 2, 17, 20)


def test_a_packet_knows_its_flow() -> None:
    header = PacketHeader(6, src=1, dst=2, proto=6, src_port=10, dst_port=20, tcp_flags=2)
    assert header.key == FlowKey(6, 6, 1, 10, 2, 20)


def test_a_verdict_names_the_policy_rules_behind_it() -> None:
    origins = (Origin("acls", 0, 3), Origin("grants", 1, 9))
    rule = FilterRule((), origins=origins)
    assert Verdict(allowed=True, reason=Reason.RULE, rule_index=0, rule=rule).origins == origins
    assert Verdict(allowed=False, reason=Reason.NO_RULE).origins == ()
