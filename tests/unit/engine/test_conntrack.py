from __future__ import annotations

import pytest

from engine.conntrack import ConnTrack, FlowState, LiveFlow, Timeouts
from engine.evaluate import FilterEvaluator, Flow, FlowKey, Reason, Verdict
from engine.netset import Address
from engine.rules import FilterRule, NetPortRange, PortRange

FIN, SYN, RST, ACK = 0x01, 0x02, 0x04, 0x10
TCP, UDP, ICMP, SCTP, GRE = 6, 17, 1, 132, 47
ALLOWED = Verdict(allowed=True, reason=Reason.RULE, rule_index=0)
DENIED = Verdict(allowed=False, reason=Reason.NO_RULE)
TIMES = Timeouts()


def key(proto: int = TCP, port: int = 40000, dst_port: int = 22) -> FlowKey:
    peer, own = Address.parse("100.64.0.9"), Address.parse("100.64.0.20")
    return FlowKey(4, proto, peer.value, port, own.value, dst_port)


def opened(table: ConnTrack, of: FlowKey, peer: str = "ann", *, inbound: bool = True) -> LiveFlow:
    return table.open(of, peer, ALLOWED, 0.0, is_inbound=inbound)


def test_a_packet_of_no_flow_belongs_to_none() -> None:
    assert ConnTrack().observe(key(), 0.0, SYN) is None


def test_packets_of_both_directions_belong_to_the_flow() -> None:
    table = ConnTrack()
    flow = opened(table, key())
    assert table.observe(key(), 1.0, ACK) is flow
    assert table.observe(key().reversed(), 1.0, ACK) is flow
    assert len(table) == 1


@pytest.mark.parametrize(
    ("packets", "state"),
    [
        ([], FlowState.OPENING),
        ([(">", SYN)], FlowState.OPENING),
        ([("<", SYN | ACK)], FlowState.ANSWERED),
        ([("<", SYN | ACK), (">", SYN)], FlowState.ANSWERED),
        ([("<", SYN | ACK), (">", ACK)], FlowState.ESTABLISHED),
        ([("<", RST | ACK)], FlowState.CLOSED),
        ([("<", SYN | ACK), (">", ACK), (">", FIN | ACK)], FlowState.CLOSING),
        ([("<", SYN | ACK), (">", ACK), (">", FIN | ACK), ("<", ACK)], FlowState.CLOSING),
        (
            [("<", SYN | ACK), (">", ACK), ("<", FIN | ACK), (">", FIN | ACK), ("<", ACK)],
            FlowState.CLOSED,
        ),
    ],
)
def test_tcp_goes_from_state_to_state(packets: list[tuple[str, int]], state: FlowState) -> None:
    table = ConnTrack()
    flow = opened(table, key())
    for direction, flags in packets:
        table.observe(key() if direction == ">" else key().reversed(), 0.0, flags)
    assert flow.state is state


@pytest.mark.parametrize("proto", [UDP, ICMP, SCTP, GRE])
def test_other_protocols_are_established_by_the_first_answer(proto: int) -> None:
    table = ConnTrack()
    flow = opened(table, key(proto))
    states = []
    for packet in (key(proto), key(proto).reversed(), key(proto)):
        table.observe(packet, 0.0)
        states.append(flow.state)
    assert states == [FlowState.OPENING, FlowState.ESTABLISHED, FlowState.ESTABLISHED]


@pytest.mark.parametrize(
    ("proto", "is_answered", "idle_s"),
    [
        (TCP, False, TIMES.opening_s),
        (UDP, False, TIMES.opening_s),
        (UDP, True, TIMES.udp_s),
        (ICMP, True, TIMES.icmp_s),
        (SCTP, True, TIMES.sctp_s),
        (GRE, True, TIMES.other_s),
    ],
)
def test_an_idle_flow_expires_after_its_protocols_time(
    proto: int, is_answered: bool, idle_s: float
) -> None:
    table = ConnTrack()
    opened(table, key(proto))
    if is_answered:
        table.observe(key(proto).reversed(), 0.0)
    table.expire(idle_s - 0.1)
    assert len(table) == 1
    assert [flow.key for flow in table.expire(idle_s)] == [key(proto)]
    assert len(table) == 0


def test_an_established_connection_outlives_two_idle_hours() -> None:
    table = ConnTrack()
    opened(table, key())
    table.observe(key().reversed(), 0.0, SYN | ACK)
    table.observe(key(), 0.0, ACK)
    assert table.expire(7200.0) == []
    assert table.observe(key(), 7200.0, ACK) is not None


def test_every_packet_puts_expiry_off() -> None:
    table = ConnTrack()
    opened(table, key(UDP))
    table.observe(key(UDP), 50.0)
    assert table.expire(TIMES.opening_s) == []
    assert len(table.expire(50.0 + TIMES.opening_s)) == 1


def test_closing_brings_expiry_forward() -> None:
    table = ConnTrack()
    opened(table, key())
    table.observe(key(), 0.0, RST)
    assert table.deadline() == TIMES.tcp_closed_s
    assert len(table.expire(TIMES.tcp_closed_s)) == 1


def test_an_expired_flow_is_gone_even_before_it_is_swept() -> None:
    table = ConnTrack()
    opened(table, key(UDP))
    assert table.observe(key(UDP), TIMES.opening_s) is None
    assert len(table) == 0


def test_a_syn_on_the_ports_of_a_finished_connection_is_new() -> None:
    table = ConnTrack()
    opened(table, key())
    assert table.observe(key(), 0.0, RST) is not None
    assert table.observe(key(), 0.0, ACK) is not None
    assert table.observe(key(), 0.0, SYN) is None


def test_a_new_filter_cuts_what_it_does_not_allow() -> None:
    table = ConnTrack()
    ssh, web = opened(table, key(dst_port=22)), opened(table, key(dst_port=443))
    rule = FilterRule(("100.64.0.9",), (NetPortRange("100.64.0.20", PortRange(443, 443)),))
    assert table.rejudge(FilterEvaluator([rule]).decide, 1.0) == [ssh]
    assert ssh.state is FlowState.REVOKED
    assert web.verdict.rule == rule


def test_neither_side_can_carry_a_revoked_flow_on() -> None:
    table = ConnTrack()
    flow = opened(table, key())
    table.rejudge(_deny, 1.0)
    for packet in (key(), key().reversed()):
        assert table.observe(packet, 2.0, ACK) is flow
        assert flow.state is FlowState.REVOKED


def test_a_revoked_connection_can_be_tried_again() -> None:
    table = ConnTrack()
    opened(table, key())
    table.rejudge(_deny, 1.0)
    assert table.observe(key(), 2.0, SYN) is None


def test_a_flow_is_cut_once() -> None:
    table = ConnTrack()
    opened(table, key())
    assert len(table.rejudge(_deny, 1.0)) == 1
    assert table.rejudge(_deny, 2.0) == []


def test_a_revoked_flow_that_is_allowed_again_starts_afresh() -> None:
    table = ConnTrack()
    opened(table, key(UDP))
    table.rejudge(_deny, 1.0)
    assert table.rejudge(lambda _: ALLOWED, 2.0) == []
    assert table.observe(key(UDP), 2.0) is None


def test_what_this_node_began_needs_no_rule() -> None:
    table = ConnTrack()
    flow = opened(table, key(), inbound=False)
    assert table.rejudge(_deny, 1.0) == []
    assert flow.state is FlowState.OPENING


def test_a_full_table_gives_up_the_least_recently_seen_flow() -> None:
    table = ConnTrack(capacity=2)
    first, second = opened(table, key(port=1)), opened(table, key(port=2))
    table.observe(first.key, 1.0)
    opened(table, key(port=3))
    assert table.observe(second.key, 1.0) is None
    assert table.observe(first.key, 1.0) is first
    assert table.evicted == 1


def test_a_flood_of_openings_spares_settled_flows() -> None:
    table = ConnTrack(capacity=4)
    settled = opened(table, key(UDP, port=1))
    table.observe(settled.key.reversed(), 0.0)
    for port in range(2, 100):
        opened(table, key(UDP, port=port))
    assert table.observe(settled.key, 0.0) is settled
    assert len(table) == 4


def test_a_flood_by_one_peer_spares_the_flows_of_others() -> None:
    table = ConnTrack(capacity=8)
    quiet = [opened(table, key(UDP, port=port), "bo") for port in range(3)]
    for port in range(100, 1000):
        opened(table, key(UDP, port=port), "mallory")
    assert all(table.observe(flow.key, 0.0) is flow for flow in quiet)


def test_a_newcomer_takes_from_whoever_has_most() -> None:
    table = ConnTrack(capacity=8)
    for port in range(8):
        opened(table, key(UDP, port=port), "mallory")
    newcomer = opened(table, key(UDP, port=100), "bo")
    assert table.observe(newcomer.key, 0.0) is newcomer
    assert len(table) == 8


def test_expired_flows_give_way_before_live_ones() -> None:
    table = ConnTrack(capacity=2)
    alive = opened(table, key(UDP, port=1))
    opened(table, key(UDP, port=2))
    table.observe(alive.key, TIMES.opening_s - 1)
    table.open(key(UDP, port=3), "ann", ALLOWED, TIMES.opening_s, is_inbound=True)
    assert table.evicted == 0
    assert table.observe(alive.key, TIMES.opening_s) is alive


def test_a_peer_that_leaves_takes_its_flows_along() -> None:
    table = ConnTrack()
    gone, stays = opened(table, key(port=1), "ann"), opened(table, key(port=2), "bo")
    assert table.drop_peer("ann") == [gone]
    assert list(table) == [stays]
    assert table.drop_peer("ann") == []


def test_a_flow_between_equal_ends_is_one_flow() -> None:
    same = FlowKey(4, ICMP, 1, 7, 1, 7)
    table = ConnTrack()
    opened(table, same)
    opened(table, same)
    assert len(table) == 1
    assert len(table.expire(1e9)) == 1
    assert table.deadline() is None


def _deny(_: Flow) -> Verdict:
    return DENIED
