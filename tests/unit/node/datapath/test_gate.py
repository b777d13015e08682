"""The policy on packets, one behaviour at a time."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine.evaluate import Reason
from engine.netset import IpSet
from engine.rules import FilterRule, MalformedRuleError, NetPortRange, Origin, PortRange
from node.datapath.decode import decode
from node.datapath.flows import FlowState, FlowTable
from node.datapath.installed import Deputy, InstalledFilter
from tests.support.packets import Tcp, ip_packet, ones_complement_sum, pseudo_header, udp_packet
from tests.support.wire_gate import LOCAL, OTHER, REMOTE, GateBed, rule

SYN, ACK, FIN, RST = 0x02, 0x10, 0x01, 0x04
INCOMING = Tcp(src=REMOTE, dst=LOCAL, sport=40000, dport=22)
ANSWER = Tcp(src=LOCAL, dst=REMOTE, sport=22, dport=40000, seq=7000, ack=1500)


def syn(**fields: object) -> bytes:
    return replace(INCOMING, flags=SYN, **fields).pack()  # type: ignore[arg-type]


def connected(bed: GateBed) -> None:
    """Open a TCP connection from the remote side."""
    assert bed.arrives(syn())
    assert bed.leaves(replace(ANSWER, flags=SYN | ACK).pack())
    assert bed.arrives(INCOMING.pack())
    assert bed.leaves(ANSWER.pack())


def test_without_a_filter_everything_passes() -> None:
    bed = GateBed(None)
    assert bed.arrives(syn(dport=9))
    assert bed.leaves(udp_packet(LOCAL, "10.0.9.1", 1, 2, b""))


def test_empty_filter_denies_new_flows() -> None:
    bed = GateBed([])
    assert not bed.arrives(syn())
    assert bed.gate.counters.drops["in", Reason.NO_RULE] == 1


def test_rule_opens_its_port_alone() -> None:
    bed = GateBed([rule()])
    assert bed.arrives(syn())
    assert not bed.arrives(syn(dport=23))


def test_destination_that_is_not_ours_is_refused() -> None:
    bed = GateBed([rule(dst="*")])
    assert not bed.arrives(syn(dst="10.0.0.3"))
    assert bed.gate.counters.drops["in", Reason.NOT_LOCAL] == 1


def test_spoofed_source_is_refused_with_and_without_a_filter() -> None:
    for rules in (None, [rule(src="*")]):
        bed = GateBed(rules)
        assert not bed.arrives(syn(), bed.two)
        assert bed.gate.counters.drops["in", Reason.SPOOFED] == 1


def test_other_peer_cannot_ride_on_a_tracked_flow() -> None:
    bed = GateBed([rule()])
    connected(bed)
    assert not bed.arrives(INCOMING.pack(), bed.two)


def test_replies_to_our_own_flows_need_no_rule() -> None:
    bed = GateBed([])
    assert bed.leaves(udp_packet(LOCAL, REMOTE, 5353, 53, b"question"))
    assert bed.arrives(udp_packet(REMOTE, LOCAL, 53, 5353, b"answer"))
    assert not bed.arrives(udp_packet(REMOTE, LOCAL, 54, 5353, b"answer"))


def test_tcp_out_of_nowhere_needs_a_rule_like_a_syn() -> None:
    bed = GateBed([])
    assert not bed.arrives(INCOMING.pack())
    assert GateBed([rule()]).arrives(INCOMING.pack())


@pytest.mark.parametrize(("kind", "allowed"), [(0, True), (3, True), (11, True), (8, False)])
def test_icmp_replies_and_errors_need_no_rule(kind: int, allowed: bool) -> None:
    packet = ip_packet(REMOTE, LOCAL, 1, bytes([kind, 0, 0, 0, 0, 1, 0, 1]))
    assert GateBed([]).arrives(packet) is allowed


def test_any_rule_on_the_addresses_lets_ping_through() -> None:
    ping = ip_packet(REMOTE, LOCAL, 1, bytes([8, 0, 0, 0, 0, 1, 0, 1]))
    assert GateBed([rule()]).arrives(ping)


@pytest.mark.parametrize(
    ("dst", "reason"),
    [
        ("224.0.0.1", Reason.MULTICAST),
        ("169.254.1.1", Reason.LINK_LOCAL),
        ("ff02::1", Reason.MULTICAST),
        ("fe80::1", Reason.LINK_LOCAL),
    ],
)
def test_multicast_and_link_local_destinations_are_refused(dst: str, reason: Reason) -> None:
    bed = GateBed([rule(src="*", dst="*", first=0, last=65535)])
    src = "fd00::1" if ":" in dst else REMOTE
    assert not bed.arrives(udp_packet(src, dst, 1, 22, b"x"))
    assert bed.gate.counters.drops["in", reason] == 1


def test_fragments_pass_when_they_cannot_hide_a_header() -> None:
    bed = GateBed([])
    assert bed.arrives(ip_packet(REMOTE, LOCAL, 17, bytes(64), frag=0x2000 | 185))
    assert not bed.arrives(ip_packet(REMOTE, LOCAL, 17, bytes(64), frag=2))
    assert not bed.arrives(ip_packet(REMOTE, LOCAL, 6, bytes(12), frag=0x2000))


def test_ipv6_fragment_header_is_understood_and_others_are_not() -> None:
    bed = GateBed([rule(src="fd00::1", dst="fd00::2", ip_proto=(17,))])
    upper = udp_packet("fd00::1", "fd00::2", 9, 22, b"abc")[40:]
    first = bytes([17, 0, 0, 1, 0, 0, 0, 1]) + upper
    later = bytes([17, 0, 0, 200, 0, 0, 0, 1]) + bytes(32)
    assert bed.arrives(ip_packet("fd00::1", "fd00::2", 44, first))
    assert bed.arrives(ip_packet("fd00::1", "fd00::2", 44, later))
    hop_by_hop = bytes([17, 0, 1, 4, 0, 0, 0, 0]) + upper
    assert not bed.arrives(ip_packet("fd00::1", "fd00::2", 0, hop_by_hop))


# Filters that change.


def test_flow_that_stays_allowed_goes_on_without_a_new_look() -> None:
    bed = GateBed([rule()])
    connected(bed)
    bed.gate.install(bed.filter([rule(), rule(first=80)]))
    assert bed.arrives(INCOMING.pack())
    assert bed.gate.counters.flows_revoked == 0


def test_revoked_flow_stops_both_ways() -> None:
    bed = GateBed([rule()])
    connected(bed)
    bed.gate.install(bed.filter([rule(first=80)]))
    assert not bed.arrives(INCOMING.pack())
    assert not bed.leaves(ANSWER.pack())
    assert bed.gate.counters.drops["in", Reason.REVOKED] == 1
    assert bed.gate.counters.drops["out", Reason.REVOKED] == 1


def test_idle_flow_is_cut_by_the_sweep_with_a_reset_to_the_local_side() -> None:
    bed = GateBed([rule()])
    connected(bed)
    bed.gate.install(bed.filter([]))
    assert bed.gate.deadline() == float("-inf")
    bed.gate.on_deadline(bed.now)
    (reset,) = bed.gate.to_local
    header = decode(reset)
    assert header is not None
    assert (header.src_port, header.dst_port) == (40000, 22)
    assert header.tcp_flags & RST
    assert reset[24:28] == (1500).to_bytes(4, "big")
    assert ones_complement_sum(reset[:20]) == 0xFFFF
    whole = pseudo_header(REMOTE, LOCAL, 6, len(reset) - 20) + reset[20:]
    assert ones_complement_sum(whole) == 0xFFFF


def test_ipv6_reset_is_well_formed() -> None:
    bed = GateBed([rule(src="fd00::1", dst="fd00::2")])
    there = replace(INCOMING, src="fd00::1", dst="fd00::2")
    back = replace(ANSWER, src="fd00::2", dst="fd00::1")
    assert bed.arrives(replace(there, flags=SYN).pack())
    assert bed.leaves(back.pack())
    bed.gate.install(bed.filter([]))
    bed.gate.on_deadline(bed.now)
    (reset,) = bed.gate.to_local
    whole = pseudo_header("fd00::1", "fd00::2", 6, len(reset) - 40) + reset[40:]
    assert ones_complement_sum(whole) == 0xFFFF


def test_local_side_that_missed_the_reset_gets_another_with_fresh_numbers() -> None:
    bed = GateBed([rule()])
    connected(bed)
    bed.gate.install(bed.filter([]))
    bed.gate.on_deadline(bed.now)
    bed.gate.to_local.clear()
    bed.now += 0.1
    assert not bed.leaves(replace(ANSWER, ack=1600).pack())
    (reset,) = bed.gate.to_local
    assert reset[24:28] == (1600).to_bytes(4, "big")


def test_cut_flow_can_be_opened_again_by_a_syn_once_allowed() -> None:
    bed = GateBed([rule()])
    connected(bed)
    bed.gate.install(bed.filter([]))
    bed.gate.on_deadline(bed.now)
    bed.gate.install(bed.filter([rule()]))
    assert not bed.arrives(INCOMING.pack())
    assert bed.arrives(syn())
    assert bed.arrives(INCOMING.pack())


def test_local_side_may_begin_anew_where_a_flow_was_cut() -> None:
    bed = GateBed([rule()])
    connected(bed)
    bed.gate.install(bed.filter([]))
    bed.gate.on_deadline(bed.now)
    assert bed.leaves(replace(ANSWER, flags=SYN).pack())


def test_own_flows_survive_every_filter() -> None:
    bed = GateBed([rule()])
    assert bed.leaves(replace(ANSWER, sport=50000, dport=443, flags=SYN).pack())
    bed.gate.install(bed.filter([]))
    bed.gate.on_deadline(bed.now)
    assert bed.arrives(replace(INCOMING, sport=443, dport=50000, flags=SYN | ACK).pack())


def test_sweep_reaches_every_flow_in_slices() -> None:
    bed = GateBed([rule(first=0, last=65535)])
    for port in range(1, 1001):
        assert bed.arrives(udp_packet(REMOTE, LOCAL, port, 22, b"x"))
    bed.gate.install(bed.filter([]))
    rounds = 0
    while bed.gate.is_sweeping:
        bed.gate.on_deadline(bed.now)
        rounds += 1
    assert bed.gate.counters.flows_revoked == 1000
    assert rounds > 1


def test_prefix_that_moves_takes_its_flows_along() -> None:
    bed = GateBed([rule()])
    connected(bed)
    bed.routes.replace(
        bed.two, [*bed.routes.networks_of(bed.two), *bed.routes.networks_of(bed.one)]
    )
    bed.gate.rejudge()
    assert not bed.arrives(INCOMING.pack(), bed.one)
    assert bed.arrives(INCOMING.pack(), bed.two)


def test_flow_without_an_owner_is_cut() -> None:
    bed = GateBed(None)
    connected(bed)
    bed.routes.remove_owner(bed.one)
    bed.gate.rejudge()
    bed.gate.on_deadline(bed.now)
    assert bed.gate.counters.flows_revoked == 1


def test_unreadable_filter_keeps_the_last_good_one_and_says_so() -> None:
    bed = GateBed([rule()])
    broken = FilterRule(("nonsense",), (NetPortRange(LOCAL, PortRange(1, 2)),))
    with pytest.raises(MalformedRuleError):
        bed.gate.install_rules([broken], IpSet.of("*"))
    assert bed.arrives(syn())
    assert "nonsense" in bed.gate.refusal
    assert bed.gate.counters.filters_refused == 1


def test_first_filter_unreadable_denies_everything() -> None:
    bed = GateBed(None)
    bed.gate.refuse("no JSON")
    assert not bed.arrives(syn())
    assert bed.gate.refusal == "no JSON"


# Accounting.


def test_rule_counts_packets_bytes_and_flows_of_both_directions() -> None:
    bed = GateBed([rule(first=80), rule(origins=(Origin("acls", 1, 12),))])
    connected(bed)
    counter = bed.gate.counters.rules[1]
    assert (counter.packets, counter.flows, counter.policy_line) == (4, 1, 12)
    sizes = [len(syn()), *[len(packet.pack()) for packet in (ANSWER, INCOMING, ANSWER)]]
    assert counter.bytes == sum(sizes)


def test_counters_of_a_rule_survive_a_new_filter_that_keeps_it() -> None:
    bed = GateBed([rule(first=80), rule()])
    connected(bed)
    bed.gate.install(bed.filter([rule()]))
    assert bed.gate.counters.rules[0].packets == 4
    assert bed.arrives(INCOMING.pack())
    assert bed.gate.counters.rules[0].packets == 5


def test_denials_are_logged_with_flow_and_reason_at_a_bounded_rate() -> None:
    bed = GateBed([])
    for port in range(1, 101):
        bed.arrives(syn(dport=port))
    log = bed.gate.denials
    assert len(log.recent) + log.suppressed == 100
    assert len(log.recent) < 30
    assert str(log.recent[0]) == "denied in tcp 10.0.0.1:40000 -> 10.0.0.2:1: no-rule"
    bed.now += 1
    bed.arrives(syn())
    assert log.recent[-1].suppressed == log.suppressed


# Bounds.


def test_flood_by_one_peer_leaves_the_flows_of_another() -> None:
    bed = GateBed(
        [rule(src="*", first=0, last=65535)], FlowTable(max_flows=200, max_flows_per_peer=100)
    )
    connected(bed)
    for port in range(1, 1001):
        bed.arrives(udp_packet(OTHER, LOCAL, port, 22, b"x"), bed.two)
    assert len(bed.gate.flows) <= 200
    assert bed.gate.counters.flows_evicted == 900
    assert bed.arrives(INCOMING.pack())
    flow = bed.gate.flows.inbound[6]
    assert len(flow) == 1


def test_flood_by_a_peer_spares_its_own_settled_flows() -> None:
    bed = GateBed([rule(first=0, last=65535)], FlowTable(max_flows=200, max_flows_per_peer=100))
    connected(bed)
    for port in range(1, 1001):
        bed.arrives(udp_packet(REMOTE, LOCAL, port, 22, b"x"))
    settled = [flow for flow in bed.gate.flows if flow.is_settled]
    assert len(settled) == 1


def test_denied_packets_make_no_flows() -> None:
    bed = GateBed([])
    for port in range(1, 500):
        bed.arrives(syn(dport=port))
    assert len(bed.gate.flows) == 0


def test_idle_flows_expire() -> None:
    bed = GateBed([rule()])
    assert bed.arrives(udp_packet(REMOTE, LOCAL, 1, 22, b"x"))
    bed.now += 61
    bed.gate.on_deadline(bed.now)
    assert len(bed.gate.flows) == 0


def test_closed_connection_is_forgotten_soon() -> None:
    bed = GateBed([rule()])
    connected(bed)
    assert bed.arrives(replace(INCOMING, flags=FIN | ACK).pack())
    (flow,) = bed.gate.flows
    assert flow.state is FlowState.CLOSING
    bed.now += 61
    bed.gate.on_deadline(bed.now)
    assert len(bed.gate.flows) == 0


# Peers that enforce nothing.

OUTGOING = Tcp(src=LOCAL, dst=REMOTE, sport=50000, dport=443, flags=SYN)


def deputised(bed: GateBed, *rules: FilterRule) -> InstalledFilter:
    """Return a filter that stands in for peer one with these rules, and lets port 22 in."""
    deputy = Deputy(rules, IpSet.of(REMOTE))
    return InstalledFilter([rule()], IpSet.of(LOCAL, "fd00::2"), deputy)


def test_what_goes_to_a_plain_device_needs_a_rule_of_its() -> None:
    bed = GateBed([rule()])
    bed.gate.install(deputised(bed, rule(src=LOCAL, dst=REMOTE, first=443)))
    assert bed.leaves(OUTGOING.pack())
    assert not bed.leaves(replace(OUTGOING, dport=80).pack())
    assert bed.gate.counters.drops["out", Reason.NO_RULE] == 1
    assert bed.leaves(udp_packet(LOCAL, "10.0.9.1", 1, 2, b"")), "others enforce for themselves"


def test_answers_to_a_plain_device_need_none() -> None:
    bed = GateBed([rule()])
    bed.gate.install(deputised(bed))
    connected(bed)


def test_flow_to_a_plain_device_is_cut_with_its_rule() -> None:
    bed = GateBed([rule()])
    bed.gate.install(deputised(bed, rule(src=LOCAL, dst=REMOTE, first=443)))
    assert bed.leaves(OUTGOING.pack())
    assert bed.arrives(replace(INCOMING, sport=443, dport=50000, flags=SYN | ACK).pack())
    assert bed.leaves(replace(OUTGOING, flags=ACK).pack())
    bed.gate.install(deputised(bed))
    assert not bed.leaves(replace(OUTGOING, flags=ACK).pack())
    assert not bed.arrives(replace(INCOMING, sport=443, dport=50000, flags=ACK).pack())
    assert bed.gate.counters.flows_revoked == 1
