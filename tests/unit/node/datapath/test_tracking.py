"""SCTP through the gate: what opens, keeps and ends a flow."""

from __future__ import annotations

import pytest

from engine.evaluate import Reason
from node.datapath.flows import FlowState, FlowTable
from tests.support.packets import sctp_chunk, sctp_init, sctp_packet
from tests.support.wire_gate import LOCAL, OTHER, REMOTE, GateBed, rule

SCTP_RULE = rule(ip_proto=(132,))
DATA = sctp_chunk(0, bytes(16))
COOKIE_ECHO, COOKIE_ACK = sctp_chunk(10, b"cookie"), sctp_chunk(11)
ABORT, SHUTDOWN_ACK, SHUTDOWN_COMPLETE = sctp_chunk(6), sctp_chunk(8), sctp_chunk(14)
HERE, THERE = 11, 22
"""The tags that the local and the remote side chose."""


def incoming(tag: int, *chunks: bytes, sport: int = 40000, dport: int = 22) -> bytes:
    return sctp_packet(REMOTE, LOCAL, sport, dport, tag, *chunks)


def outgoing(tag: int, *chunks: bytes, sport: int = 22, dport: int = 40000) -> bytes:
    return sctp_packet(LOCAL, REMOTE, sport, dport, tag, *chunks)


def state(bed: GateBed) -> FlowState:
    """Return the state of the one flow."""
    (flow,) = bed.gate.flows
    return flow.state


def begun_there(bed: GateBed) -> None:
    assert bed.arrives(incoming(0, sctp_init(THERE)))
    assert bed.leaves(outgoing(THERE, sctp_init(HERE, kind=2)))
    assert bed.arrives(incoming(HERE, COOKIE_ECHO))
    assert bed.leaves(outgoing(THERE, COOKIE_ACK))


def begun_here(bed: GateBed) -> None:
    assert bed.leaves(outgoing(0, sctp_init(HERE)))
    assert bed.arrives(incoming(HERE, sctp_init(THERE, kind=2)))
    assert bed.leaves(outgoing(THERE, COOKIE_ECHO, DATA))
    assert bed.arrives(incoming(HERE, COOKIE_ACK))


@pytest.mark.parametrize(
    ("tag", "chunk"), [(0, sctp_init(THERE)), (9, DATA), (9, COOKIE_ECHO), (9, ABORT)]
)
def test_what_belongs_to_no_flow_needs_a_rule_that_names_sctp(tag: int, chunk: bytes) -> None:
    bed = GateBed([rule()])
    assert not bed.arrives(incoming(tag, chunk))
    assert bed.gate.counters.drops["in", Reason.NO_RULE] == 1
    assert GateBed([SCTP_RULE]).arrives(incoming(tag, chunk))
    assert not GateBed([SCTP_RULE]).arrives(incoming(tag, chunk, dport=23))


@pytest.mark.parametrize("src", [REMOTE, "fd00::1"])
def test_malformed_chunks_are_dropped_both_ways(src: str) -> None:
    dst = LOCAL if src == REMOTE else "fd00::2"
    bed = GateBed([rule(src="*", dst="*", ip_proto=(132,))])
    for chunks in (b"", b"\0\0\0\0", sctp_init(1) + DATA, DATA[:-4]):
        assert not bed.arrives(sctp_packet(src, dst, 1, 22, 9, chunks))
        assert not bed.leaves(sctp_packet(dst, src, 22, 1, 9, chunks))
    assert bed.gate.counters.drops["in", Reason.UNKNOWN_PROTOCOL] == 4
    assert bed.gate.counters.drops["out", Reason.UNKNOWN_PROTOCOL] == 4
    assert len(bed.gate.flows) == 0


def test_first_fragment_may_cut_its_last_chunk() -> None:
    bed = GateBed([SCTP_RULE])
    cut = sctp_packet(REMOTE, LOCAL, 40000, 22, 9, b"\0\3\5\xdc" + bytes(64), frag=0x2000)
    assert bed.arrives(cut)
    assert not bed.arrives(incoming(9, b"\0\3\5\xdc" + bytes(64)))


def test_association_of_ours_needs_no_rule() -> None:
    bed = GateBed([])
    begun_here(bed)
    assert bed.arrives(incoming(HERE, DATA))


def test_answer_with_a_foreign_tag_needs_a_rule() -> None:
    bed = GateBed([])
    begun_here(bed)
    assert not bed.arrives(incoming(99, DATA))
    assert bed.gate.counters.drops["in", Reason.NO_RULE] == 1
    assert bed.arrives(incoming(HERE, DATA))


def test_foreign_tag_that_a_rule_allows_begins_a_flow() -> None:
    bed = GateBed([SCTP_RULE])
    begun_there(bed)
    assert bed.arrives(incoming(99, DATA))
    assert bed.gate.counters.rules[0].flows == 2
    assert len(bed.gate.flows) == 1


def test_peer_may_restart_an_association_of_ours() -> None:
    bed = GateBed([])
    begun_here(bed)
    assert bed.arrives(incoming(0, sctp_init(33)))
    assert bed.leaves(outgoing(33, sctp_init(44, kind=2)))
    assert bed.arrives(incoming(44, COOKIE_ECHO))
    assert bed.leaves(outgoing(33, COOKIE_ACK))
    assert not bed.arrives(incoming(HERE, DATA))
    assert bed.arrives(incoming(44, DATA))


@pytest.mark.parametrize("end", [ABORT, SHUTDOWN_COMPLETE])
def test_ended_association_is_closing_and_soon_forgotten(end: bytes) -> None:
    bed = GateBed([])
    begun_here(bed)
    assert not bed.arrives(incoming(99, end))
    assert state(bed) is FlowState.OPEN
    assert bed.arrives(incoming(HERE, end))
    assert state(bed) is FlowState.CLOSING
    assert bed.arrives(incoming(HERE, SHUTDOWN_ACK)), "a retransmission"
    assert not bed.arrives(incoming(0, sctp_init(33))), "no longer ours"
    bed.now += 61
    bed.gate.on_deadline(bed.now)
    assert len(bed.gate.flows) == 0


def test_local_side_may_begin_anew_after_the_end() -> None:
    bed = GateBed([])
    begun_here(bed)
    assert bed.leaves(outgoing(THERE, ABORT))
    begun_here(bed)
    assert state(bed) is FlowState.OPEN


def test_peer_may_begin_anew_after_the_end_by_its_rule() -> None:
    bed = GateBed([SCTP_RULE])
    begun_there(bed)
    assert bed.arrives(incoming(HERE, ABORT))
    begun_there(bed)
    assert bed.gate.counters.rules[0].flows == 2


def test_idle_limits_follow_the_association() -> None:
    bed = GateBed([SCTP_RULE])
    assert bed.arrives(incoming(0, sctp_init(THERE)))
    assert bed.leaves(outgoing(THERE, sctp_init(HERE, kind=2)))
    bed.now += 61
    bed.gate.on_deadline(bed.now)
    assert len(bed.gate.flows) == 0, "an unanswered cookie binds nobody"
    begun_there(bed)
    bed.now += 7400
    bed.gate.on_deadline(bed.now)
    assert len(bed.gate.flows) == 1
    bed.now += 100
    bed.gate.on_deadline(bed.now)
    assert len(bed.gate.flows) == 0


def test_revoked_association_stops_and_opens_by_init_alone() -> None:
    bed = GateBed([SCTP_RULE])
    begun_there(bed)
    bed.gate.install(bed.filter([]))
    bed.gate.on_deadline(bed.now)
    assert bed.gate.counters.flows_revoked == 1
    assert not bed.arrives(incoming(HERE, DATA))
    assert not bed.leaves(outgoing(THERE, DATA))
    assert not bed.leaves(outgoing(99, DATA))
    assert bed.gate.counters.drops["out", Reason.REVOKED] == 2
    assert not bed.gate.to_local
    bed.gate.install(bed.filter([SCTP_RULE]))
    assert not bed.arrives(incoming(HERE, DATA))
    begun_there(bed)


def test_local_packet_with_a_foreign_tag_does_not_make_the_flow_ours() -> None:
    bed = GateBed([SCTP_RULE])
    begun_there(bed)
    assert bed.leaves(outgoing(77, DATA))
    bed.gate.install(bed.filter([]))
    assert not bed.arrives(incoming(88, DATA))
    assert bed.gate.counters.flows_revoked == 1


def test_other_peer_cannot_ride_on_an_association() -> None:
    bed = GateBed([])
    begun_here(bed)
    assert not bed.arrives(incoming(HERE, DATA), bed.two)
    assert bed.gate.counters.drops["in", Reason.SPOOFED] == 1


def test_flood_of_inits_is_bounded_and_spares_what_is_established() -> None:
    bed = GateBed(
        [rule(src="*", first=0, last=65535, ip_proto=(132,))],
        FlowTable(max_flows=200, max_flows_per_peer=100),
    )
    begun_there(bed)
    for port in range(1, 1001):
        bed.arrives(incoming(0, sctp_init(port), sport=port))
        bed.leaves(outgoing(port, sctp_init(5, kind=2), dport=port))
        bed.arrives(sctp_packet(OTHER, LOCAL, port, 22, 0, sctp_init(port)), bed.two)
    assert len(bed.gate.flows) <= 200
    assert [flow.header.src_port for flow in bed.gate.flows if flow.is_settled] == [40000]
    assert bed.arrives(incoming(HERE, DATA))
