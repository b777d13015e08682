"""What a node does with one packet: the client's stateless filter (policy reference 9.2, 9.3).

Judges decoded headers. Live flows are not remembered here: whether a packet answers one is asked of
whatever the caller keeps of live flows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.evaluate.axis import Axis
from engine.evaluate.flow import (
    FRAGMENT,
    TCP_ACK,
    TCP_SYN,
    UNKNOWN,
    Flow,
    Reason,
    Verdict,
)
from engine.netset import IpSet
from engine.netset.address import V4, V6
from engine.netset.constants import EMPTY_SET, LINK_LOCAL, METADATA_ADDRESS, MULTICAST
from engine.netset.protocols import ICMPV4, ICMPV6, SCTP, TCP, UDP

if TYPE_CHECKING:
    from collections.abc import Container

    from engine.evaluate.evaluator import FilterEvaluator
    from engine.evaluate.flow import FlowKey, PacketHeader

__all__ = ["ICMP_ANSWERS", "PacketFilter"]

ICMP_ANSWERS: dict[int, frozenset[int]] = {
    # Echo reply, unreachable, time exceeded, parameter problem.
    V4: frozenset({0, 3, 11, 12}),
    # Unreachable, packet too big, time exceeded, parameter problem, echo reply.
    V6: frozenset({1, 2, 3, 4, 129}),
}
"""ICMP types that answer something, by IP version (RFC 792, RFC 4443)."""

_MULTICAST_SET = IpSet.of_prefixes(MULTICAST)
_LINK_LOCAL_SET = IpSet.of_prefixes(LINK_LOCAL) - IpSet.of_addresses([METADATA_ADDRESS])

_TRACKED = frozenset({UDP, SCTP})
"""Protocols whose replies pass because of a flow that this node began."""

# What an address is as a destination, one bit each.
_IS_MULTICAST, _IS_LINK_LOCAL, _IS_LOCAL = 1, 2, 4

_OUTBOUND = Verdict(allowed=True, reason=Reason.OUTBOUND)
_REPLY = Verdict(allowed=True, reason=Reason.REPLY)
_ESTABLISHED = Verdict(allowed=True, reason=Reason.ESTABLISHED)
_ICMP_REPLY = Verdict(allowed=True, reason=Reason.ICMP_REPLY)
_LATER_FRAGMENT = Verdict(allowed=True, reason=Reason.LATER_FRAGMENT)
_NOT_LOCAL = Verdict(allowed=False, reason=Reason.NOT_LOCAL)
_SPOOFED = Verdict(allowed=False, reason=Reason.SPOOFED)
_MULTICAST = Verdict(allowed=False, reason=Reason.MULTICAST)
_LINK_LOCAL = Verdict(allowed=False, reason=Reason.LINK_LOCAL)
_UNKNOWN_PROTOCOL = Verdict(allowed=False, reason=Reason.UNKNOWN_PROTOCOL)


class PacketFilter:
    """Judges the packets of one node by its packet filter."""

    __slots__ = ("_evaluator", "_kinds")

    def __init__(
        self, evaluator: FilterEvaluator, local: IpSet, link_local_allowed: IpSet = EMPTY_SET
    ) -> None:
        """Judge by `evaluator`, taking packets for `local` (`local_destinations`).

        `link_local_allowed` are link-local destinations that may be sent and received, besides the
        metadata address that always may.
        """
        self._evaluator = evaluator
        link_local = _LINK_LOCAL_SET - link_local_allowed
        marks = ((_MULTICAST_SET, _IS_MULTICAST), (link_local, _IS_LINK_LOCAL), (local, _IS_LOCAL))
        self._kinds = {
            version: Axis((held.bounds(version), mark) for held, mark in marks)
            for version in (V4, V6)
        }

    def inbound(
        self,
        header: PacketHeader,
        replies: Container[FlowKey] = (),
        sender: IpSet | None = None,
    ) -> Verdict:
        """Judge a packet from a peer.

        `replies` holds the flows that this node began, as keys in the sending direction. `sender`
        is what the peer may send from, its allowed IPs; None where that was checked before.
        """
        if sender is not None and not sender.contains(header.version, header.src):
            return _SPOOFED
        kind = self._kinds[header.version][header.dst]
        verdict = _judge_both_ways(header, kind)
        if verdict is not None:
            return verdict
        if not kind & _IS_LOCAL:
            return _NOT_LOCAL
        return self._judge_by_protocol(header, replies)

    def outbound(self, header: PacketHeader) -> Verdict:
        """Judge a packet from this node; the receiver enforces the rules."""
        return _judge_both_ways(header, self._kinds[header.version][header.dst]) or _OUTBOUND

    def _judge_by_protocol(self, header: PacketHeader, replies: Container[FlowKey]) -> Verdict:
        proto = header.proto
        if proto == TCP:
            if header.tcp_flags & (TCP_SYN | TCP_ACK) != TCP_SYN:
                return _ESTABLISHED
        elif proto in _TRACKED:
            if header.key.reversed() in replies:
                return _REPLY
        elif _is_icmp_answer(header):
            return _ICMP_REPLY
        return self._evaluator.decide(
            Flow(header.version, header.src, header.dst, proto, header.dst_port)
        )


def _judge_both_ways(header: PacketHeader, kind: int) -> Verdict | None:
    """Judge by what holds for either direction; None where that leaves it open."""
    if header.proto == UNKNOWN:
        return _UNKNOWN_PROTOCOL
    if kind & _IS_MULTICAST:
        return _MULTICAST
    if kind & _IS_LINK_LOCAL:
        return _LINK_LOCAL
    return _LATER_FRAGMENT if header.proto == FRAGMENT else None


def _is_icmp_answer(header: PacketHeader) -> bool:
    icmp = ICMPV4 if header.version == V4 else ICMPV6
    return header.proto == icmp and header.icmp_type in ICMP_ANSWERS[header.version]
