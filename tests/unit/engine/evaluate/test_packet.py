from __future__ import annotations

import pytest

from engine.evaluate import (
    FRAGMENT,
    UNKNOWN,
    FilterEvaluator,
    PacketFilter,
    PacketHeader,
    Reason,
)
from engine.netset import Address, IpSet
from engine.rules import FilterRule, NetPortRange, PortRange

PEER, SELF = "100.64.0.9", "100.64.0.20"
PEER6, SELF6 = "fd7a:115c:a1e0::9", "fd7a:115c:a1e0::14"
SYN, ACK, RST = 0x02, 0x10, 0x04

SSH_ONLY = FilterRule(
    (PEER, PEER6),
    (NetPortRange(SELF, PortRange(22, 22)), NetPortRange(SELF6, PortRange(22, 22))),
    (6,),
)
PACKETS = PacketFilter(FilterEvaluator([SSH_ONLY]), IpSet.of(SELF, SELF6))
SHIELDS_UP = PacketFilter(FilterEvaluator([]), IpSet.of(SELF, SELF6))


def packet(
    proto: int,
    *,
    src: str = PEER,
    dst: str = SELF,
    ports: tuple[int, int] = (40000, 22),
    flags: int = 0,
    icmp_type: int = 0,
) -> PacketHeader:
    version, source = Address.parse(src)
    destination = Address.parse(dst).value
    return PacketHeader(version, source, destination, proto, *ports, flags, icmp_type)


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        (SYN, Reason.NO_RULE),
        (SYN | 0xC0, Reason.NO_RULE),
        (SYN | ACK, Reason.ESTABLISHED),
        (ACK, Reason.ESTABLISHED),
        (RST, Reason.ESTABLISHED),
        (0, Reason.ESTABLISHED),
    ],
)
def test_rules_judge_the_opening_of_tcp_alone(flags: int, reason: Reason) -> None:
    assert PACKETS.inbound(packet(6, ports=(40000, 23), flags=flags)).reason is reason


def test_a_rule_lets_a_connection_open() -> None:
    verdict = PACKETS.inbound(packet(6, flags=SYN))
    assert (verdict.reason, verdict.rule) == (Reason.RULE, SSH_ONLY)


@pytest.mark.parametrize("proto", [17, 132])
def test_datagrams_pass_as_replies_to_what_this_node_sent(proto: int) -> None:
    reply = packet(proto)
    assert PACKETS.inbound(reply).reason is Reason.NO_RULE
    assert PACKETS.inbound(reply, {reply.key.reversed()}).reason is Reason.REPLY
    assert PACKETS.inbound(reply, {reply.key}).reason is Reason.NO_RULE


@pytest.mark.parametrize("icmp_type", [0, 3, 11, 12])
def test_icmp_answers_pass_without_a_rule(icmp_type: int) -> None:
    assert SHIELDS_UP.inbound(packet(1, icmp_type=icmp_type)).reason is Reason.ICMP_REPLY


@pytest.mark.parametrize("icmp_type", [1, 2, 3, 4, 129])
def test_icmpv6_answers_pass_without_a_rule(icmp_type: int) -> None:
    answer = packet(58, src=PEER6, dst=SELF6, icmp_type=icmp_type)
    assert SHIELDS_UP.inbound(answer).reason is Reason.ICMP_REPLY


@pytest.mark.parametrize("icmp_type", [5, 8, 9, 10, 13, 128])
def test_icmp_questions_need_a_rule_for_the_addresses(icmp_type: int) -> None:
    assert SHIELDS_UP.inbound(packet(1, icmp_type=icmp_type)).reason is Reason.NO_RULE
    assert PACKETS.inbound(packet(1, icmp_type=icmp_type)).reason is Reason.RULE


def test_the_icmp_of_the_other_ip_version_is_no_icmp() -> None:
    assert PACKETS.inbound(packet(58, icmp_type=129)).reason is Reason.NO_RULE


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        (packet(99), Reason.TSMP),
        (packet(UNKNOWN), Reason.UNKNOWN_PROTOCOL),
        (packet(FRAGMENT), Reason.LATER_FRAGMENT),
        (packet(6, flags=SYN, dst="100.64.0.21"), Reason.NOT_LOCAL),
        (packet(6, flags=ACK, dst="100.64.0.21"), Reason.NOT_LOCAL),
        (packet(FRAGMENT, dst="100.64.0.21"), Reason.LATER_FRAGMENT),
        (packet(17, dst="224.0.0.251"), Reason.MULTICAST),
        (packet(17, src=PEER6, dst="ff02::fb"), Reason.MULTICAST),
        (packet(FRAGMENT, dst="224.0.0.251"), Reason.MULTICAST),
        (packet(UNKNOWN, dst="224.0.0.251"), Reason.UNKNOWN_PROTOCOL),
        (packet(17, dst="169.254.1.1"), Reason.LINK_LOCAL),
        (packet(58, src=PEER6, dst="fe80::1"), Reason.LINK_LOCAL),
        (packet(17, dst="169.254.169.254"), Reason.NOT_LOCAL),
    ],
)
def test_checks_come_in_the_clients_order(header: PacketHeader, reason: Reason) -> None:
    assert PACKETS.inbound(header).reason is reason


def test_a_source_that_the_peer_does_not_own_is_dropped_first() -> None:
    allowed_ips = IpSet.of("100.64.0.10")
    assert PACKETS.inbound(packet(FRAGMENT), (), allowed_ips).reason is Reason.SPOOFED
    assert PACKETS.inbound(packet(99), (), IpSet.of(PEER)).reason is Reason.TSMP


def test_sending_is_left_to_the_receiver() -> None:
    assert SHIELDS_UP.outbound(packet(6, src=SELF, dst=PEER, flags=SYN)).reason is Reason.OUTBOUND


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        (packet(UNKNOWN), Reason.UNKNOWN_PROTOCOL),
        (packet(17, dst="239.255.255.250"), Reason.MULTICAST),
        (packet(17, dst="169.254.1.1"), Reason.LINK_LOCAL),
        (packet(17, dst="169.254.169.254"), Reason.OUTBOUND),
        (packet(FRAGMENT), Reason.LATER_FRAGMENT),
    ],
)
def test_sending_drops_what_never_crosses_the_network(header: PacketHeader, reason: Reason) -> None:
    assert PACKETS.outbound(header).reason is reason


def test_link_local_destinations_can_be_let_through() -> None:
    packets = PacketFilter(FilterEvaluator([]), IpSet(), IpSet.of("169.254.1.0/24"))
    assert packets.outbound(packet(17, dst="169.254.1.1")).allowed
    assert not packets.outbound(packet(17, dst="169.254.2.1")).allowed
