"""The gate: the policy on every packet, both directions.

The hot loop asks once for each super-packet or group with `admit_inbound` and `admit_outbound`. A
known flow costs one slice and one dictionary look-up; everything else goes the long way round.

Inbound, a new flow needs a rule (policy reference 9.3); what answers a flow of ours needs none.
Outbound is free, as the receiver enforces, but it is tracked, and link-local and multicast stay
home. Stricter than the reference client: inbound TCP that belongs to no tracked flow needs a rule
like a SYN does. A flow whose rule goes away is cut at its next packet or by `sweep`, whichever is
first, and a TCP flow is reset towards the local side.
"""

from __future__ import annotations

from collections import deque
from itertools import islice
from typing import TYPE_CHECKING

from engine.evaluate import FilterEvaluator, PacketFilter, Reason
from engine.evaluate import Flow as Question
from engine.evaluate.flow import TCP_ACK, TCP_FIN, TCP_RST, TCP_SYN
from engine.netset.constants import ANY_SET
from engine.rules import MalformedRuleError
from node.datapath.counters import Counters, RuleCounters
from node.datapath.decode import (
    IPV4_HEADER,
    IPV6_FRAGMENT,
    IPV6_HEADER,
    TCP,
    decode,
    key_bytes,
)
from node.datapath.denials import DenialLog
from node.datapath.flows import Flow, FlowState, FlowTable
from node.datapath.reset import reset_to_local
from node.wireguard.inner import destination_of, source_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.evaluate import PacketHeader, Verdict
    from engine.netset import IpSet
    from engine.rules import FilterRule
    from node.datapath.capture import Capture
    from node.wireguard.allowed_ips import AllowedIPs
    from node.wireguard.peer import Peer

INBOUND = "in"
OUTBOUND = "out"

_FIN_SYN_RST = TCP_FIN | TCP_SYN | TCP_RST
_SYN_ACK = TCP_SYN | TCP_ACK
_FAST_V4 = IPV4_HEADER + 20
_FAST_V6 = IPV6_HEADER + 20
_RESET_INTERVAL_S = 0.01
_PENDING_RESETS = 1024
_SWEEP_SLICE = 256
_EXPIRE_SLICE = 1024
EXPIRE_INTERVAL_S = 1.0


class InstalledFilter:
    """A packet filter that was read and indexed: swapped in whole, never changed."""

    def __init__(self, rules: Sequence[FilterRule], local: IpSet = ANY_SET) -> None:
        """Index the rules; `local` is what this node takes packets for.

        Raises MalformedRuleError.
        """
        self._evaluator = FilterEvaluator(rules)
        self._packets = PacketFilter(self._evaluator, local)
        self.outbound = self._packets.outbound

    @property
    def rules(self) -> tuple[FilterRule, ...]:
        """The rules, in order."""
        return self._evaluator.rules

    def inbound(self, header: PacketHeader) -> Verdict:
        """Judge a packet that belongs to no tracked flow; TCP always like a SYN."""
        verdict = self._packets.inbound(header)
        if verdict.reason is Reason.ESTABLISHED:
            return self._evaluator.decide(
                Question(header.version, header.src, header.dst, header.proto, header.dst_port)
            )
        return verdict


DENY_ALL = InstalledFilter(())
_UNTRACKED = frozenset({Reason.LATER_FRAGMENT, Reason.ICMP_REPLY, Reason.TSMP})


class Gate:
    """Judges packets of all peers. Without a filter (None) it tracks and lets pass."""

    def __init__(
        self,
        routes: AllowedIPs[Peer],
        packet_filter: InstalledFilter | None,
        flows: FlowTable | None = None,
    ) -> None:
        self.counters = Counters()
        self.denials = DenialLog()
        self.flows = FlowTable() if flows is None else flows
        self.capture: Capture | None = None
        self.to_local: deque[bytes] = deque(maxlen=_PENDING_RESETS)
        """Resets to be written to the TUN device."""
        self.filter: InstalledFilter | None = None
        self.refusal = ""
        """Why the last filter offered was refused; empty when it was taken."""
        self._routes = routes
        self._epoch = 0
        self._in = self.flows.inbound
        self._out = self.flows.outbound
        self._to_judge: list[Flow] = []
        self._to_expire: list[Flow] = []
        self._expire_at = 0.0
        self._untracked: dict[Peer, Flow] = {}
        if packet_filter is not None:
            self.install(packet_filter)

    # Filters.

    def install(self, packet_filter: InstalledFilter | None) -> None:
        """Swap the filter. Live flows are judged anew: at once by use, soon by `sweep`."""
        self.filter = packet_filter
        self.refusal = ""
        self.counters.install_rules(() if packet_filter is None else packet_filter.rules)
        self.counters.filters_installed += 1
        self.rejudge()

    def install_rules(self, rules: Sequence[FilterRule], local: IpSet) -> None:
        """Read, index and install rules.

        Raises MalformedRuleError; the filter that was there stays, and `refusal` says so. Where
        none was there yet, nothing gets in.
        """
        try:
            packet_filter = InstalledFilter(rules, local)
        except MalformedRuleError as error:
            self.refuse(str(error))
            raise
        self.install(packet_filter)

    def refuse(self, why: str) -> None:
        """Record that a filter could not be read; deny everything if there is none to keep."""
        self.counters.filters_refused += 1
        if self.filter is None:
            self.install(DENY_ALL)
        self.refusal = why

    def rejudge(self) -> None:
        """Look at every live flow again: the filter, the peers or their prefixes changed."""
        self._epoch += 1
        self._to_judge = list(self.flows)
        self._untracked.clear()

    @property
    def is_sweeping(self) -> bool:
        """Whether flows wait to be judged anew."""
        return bool(self._to_judge)

    def sweep(self, now: float) -> None:
        """Judge some of the flows that no packet has brought up since the last change."""
        batch, self._to_judge = self._to_judge[-_SWEEP_SLICE:], self._to_judge[:-_SWEEP_SLICE]
        for flow in batch:
            if flow.epoch not in (-1, self._epoch) and self.flows.holds(flow):
                self._judge_again(flow, now)

    def deadline(self) -> float | None:
        """Return when `on_deadline` has work; -inf while sweeping."""
        if self._to_judge or self._to_expire:
            return float("-inf")
        return self._expire_at if len(self.flows) else None

    def on_deadline(self, now: float) -> None:
        """Sweep, and expire idle flows, a slice at a time."""
        if self._to_judge:
            self.sweep(now)
        if not self._to_expire and now >= self._expire_at:
            self._to_expire = list(self.flows)
            self._expire_at = now + EXPIRE_INTERVAL_S * max(1, len(self._to_expire) >> 12)
        batch = self._to_expire[-_EXPIRE_SLICE:]
        del self._to_expire[-_EXPIRE_SLICE:]
        for flow in batch:
            if now - flow.last_seen > flow.idle_limit_s() and self.flows.holds(flow):
                self.flows.remove(flow)

    # The hot path.

    def admit_inbound(
        self, packet: memoryview, count: int, size: int, peer: Peer, now: float
    ) -> Flow | None:
        """Judge `count` packets of `size` bytes in all that have this one's header.

        `packet` begins with an IP packet from `peer` and may have more bytes behind it, but no
        fewer than its length says. Returns the flow, or None: drop.
        """
        length = len(packet)
        flow = None
        if packet[0] == 0x45:
            if length >= _FAST_V4 and not packet[6] & 0x3F and not packet[7]:
                proto = packet[9]
                table = self._in.get(proto)
                if table is not None:
                    flow = table.get(bytes(packet[12:24]))
                    at = 33
        elif packet[0] >> 4 == 6 and length >= _FAST_V6:
            proto = packet[6]
            table = self._in.get(proto)
            if table is not None:
                flow = table.get(bytes(packet[8:44]))
                at = 53
        if (
            flow is not None
            and flow.epoch == self._epoch
            and flow.peer is peer
            and not (proto == TCP and packet[at] & _FIN_SYN_RST)
        ):
            flow.last_seen = now
            flow.packets_in += count
            flow.bytes_in += size
            counters = flow.counters
            counters.packets += count
            counters.bytes += size
            return flow
        return self._judge_inbound(packet, count, size, peer, now)

    def admit_outbound(self, packet: memoryview, count: int, size: int, now: float) -> Flow | None:
        """Judge packets of this host like `admit_inbound`; the flow names the peer to send to."""
        length = len(packet)
        flow = None
        if packet[0] == 0x45:
            if length >= _FAST_V4 and not packet[6] & 0x3F and not packet[7]:
                proto = packet[9]
                table = self._out.get(proto)
                if table is not None:
                    flow = table.get(bytes(packet[12:24]))
                    at = 20
        elif packet[0] >> 4 == 6 and length >= _FAST_V6:
            proto = packet[6]
            table = self._out.get(proto)
            if table is not None:
                flow = table.get(bytes(packet[8:44]))
                at = 40
        if flow is not None and flow.epoch == self._epoch:
            if proto == TCP:
                if packet[at + 13] & _FIN_SYN_RST:
                    return self._judge_outbound(packet, count, size, now)
                flow.last_ack = bytes(packet[at + 8 : at + 12])
            flow.last_seen = now
            flow.packets_out += count
            flow.bytes_out += size
            counters = flow.counters
            counters.packets += count
            counters.bytes += size
            return flow
        return self._judge_outbound(packet, count, size, now)

    # The long way round.

    def _judge_inbound(
        self, packet: memoryview, count: int, size: int, peer: Peer, now: float
    ) -> Flow | None:
        header = decode(packet)
        if header is None:
            self.counters.malformed_in += count
            return None
        if self._routes.lookup(source_of(packet)) is not peer:
            self._deny(header, INBOUND, Reason.SPOOFED, count, packet, now)
            return None
        flow = self._in.get(header.proto, {}).get(key_bytes(header))
        if flow is not None and not _opens(header):
            if not self._is_live(flow, now) or flow.peer is not peer:
                self._deny(header, INBOUND, Reason.REVOKED, count, packet, now)
                return None
        else:
            flow = self._new_inbound(header, packet, count, peer, now)
            if flow is None:
                return None
        self._note_tcp_end(flow, header)
        flow.last_seen = now
        flow.packets_in += count
        flow.bytes_in += size
        flow.counters.packets += count
        flow.counters.bytes += size
        return flow

    def _new_inbound(
        self, header: PacketHeader, packet: memoryview, count: int, peer: Peer, now: float
    ) -> Flow | None:
        if self.filter is None:
            return self._begin(header, peer, self.counters.unruled, now, is_inbound=True)
        verdict = self.filter.inbound(header)
        if verdict.reason in _UNTRACKED:
            return self._untracked_flow(header, peer, now)
        counters = self._counters_of(verdict)
        if counters is None:
            self._deny(header, INBOUND, verdict.reason, count, packet, now)
            return None
        return self._begin(header, peer, counters, now, is_inbound=True)

    def _judge_outbound(self, packet: memoryview, count: int, size: int, now: float) -> Flow | None:
        header = decode(packet)
        if header is None:
            self.counters.malformed_out += count
            return None
        peer = self._routes.lookup(destination_of(packet))
        if peer is None:
            self.counters.no_route += count
            return None
        flow = self._out.get(header.proto, {}).get(key_bytes(header))
        if flow is not None and not _opens(header):
            if not self._is_live(flow, now):
                self._answer_with_reset(flow, packet, now)
                self._deny(header, OUTBOUND, Reason.REVOKED, count, packet, now)
                return None
        else:
            flow = self._new_outbound(header, packet, count, peer, now)
            if flow is None:
                return None
        if header.proto == TCP:
            flow.last_sequence, flow.last_ack = _sequence_and_ack(packet)
        self._note_tcp_end(flow, header)
        flow.last_seen = now
        flow.packets_out += count
        flow.bytes_out += size
        flow.counters.packets += count
        flow.counters.bytes += size
        return flow

    def _new_outbound(
        self, header: PacketHeader, packet: memoryview, count: int, peer: Peer, now: float
    ) -> Flow | None:
        if self.filter is not None:
            verdict = self.filter.outbound(header)
            if not verdict.allowed:
                self._deny(header, OUTBOUND, verdict.reason, count, packet, now)
                return None
            if verdict.reason in _UNTRACKED:
                return self._untracked_flow(header, peer, now)
        return self._begin(header, peer, self.counters.unruled, now, is_inbound=False)

    def _counters_of(self, verdict: Verdict) -> RuleCounters | None:
        """Return the counters of the rule that allowed, or None for a refusal."""
        if not verdict.allowed or verdict.rule_index is None:
            return None
        return self.counters.rules[verdict.rule_index]

    def _is_live(self, flow: Flow, now: float) -> bool:
        """Whether a tracked flow may go on; judges it anew when something changed."""
        if flow.state is FlowState.REVOKED:
            return False
        return flow.epoch == self._epoch or self._judge_again(flow, now)

    def _begin(
        self,
        header: PacketHeader,
        peer: Peer,
        counters: RuleCounters,
        now: float,
        *,
        is_inbound: bool,
    ) -> Flow:
        flow = Flow(header, peer, counters, self._epoch, now, is_inbound=is_inbound)
        self.flows.add(flow)
        self.counters.flows_evicted = self.flows.evicted
        counters.flows += 1
        return flow

    def _judge_again(self, flow: Flow, now: float) -> bool:
        """Ask the present filter and routes about a live flow; cut it when they refuse."""
        header = flow.header
        remote = header.src if flow.is_inbound else header.dst
        peer = self._routes.lookup(remote.to_bytes(4 if header.version == 4 else 16, "big"))
        counters: RuleCounters | None = self.counters.unruled
        if flow.is_inbound and self.filter is not None:
            counters = self._counters_of(self.filter.inbound(header))
        if counters is None or peer is None:
            self._revoke(flow, now)
            return False
        if peer is not flow.peer:
            self.flows.move(flow, peer)
        flow.counters = counters
        flow.epoch = self._epoch
        return True

    def _revoke(self, flow: Flow, now: float) -> None:
        flow.state = FlowState.REVOKED
        flow.epoch = -1
        flow.last_seen = now
        self.counters.flows_revoked += 1
        direction = INBOUND if flow.is_inbound else OUTBOUND
        self.denials.add(flow.header, direction, Reason.REVOKED, now)
        if flow.header.proto == TCP and flow.last_ack:
            self._reset(flow, flow.last_ack, flow.last_sequence, now)

    def _answer_with_reset(self, flow: Flow, packet: memoryview, now: float) -> None:
        """Reset again with numbers fresh from the local side, should the first have missed."""
        if flow.header.proto != TCP or now - flow.checked_at < _RESET_INTERVAL_S:
            return
        sequence, acknowledged = _sequence_and_ack(packet)
        self._reset(flow, acknowledged, sequence, now)

    def _reset(self, flow: Flow, acknowledged: bytes, sequence: bytes, now: float) -> None:
        flow.checked_at = now
        self.counters.resets_sent += 1
        self.to_local.append(reset_to_local(flow.outbound_header(), acknowledged, sequence))

    def _note_tcp_end(self, flow: Flow, header: PacketHeader) -> None:
        if header.proto == TCP and header.tcp_flags & (TCP_FIN | TCP_RST):
            flow.state = FlowState.CLOSING

    def _untracked_flow(self, header: PacketHeader, peer: Peer, now: float) -> Flow:
        """Return a stand-in for packets that pass without a flow: later fragments, ICMP errors."""
        flow = self._untracked.get(peer)
        if flow is None:
            flow = Flow(header, peer, self.counters.unruled, -1, now, is_inbound=False)
            self._untracked[peer] = flow
        return flow

    def _deny(
        self,
        header: PacketHeader,
        direction: str,
        reason: Reason,
        count: int,
        packet: memoryview,
        now: float,
    ) -> None:
        self.counters.drops[direction, reason] += count
        self.denials.add(header, direction, reason, now)
        if self.capture is not None:
            self.capture.dropped(packet, direction, reason)

    def recent_flows(self, limit: int) -> list[Flow]:
        """Return up to `limit` live flows."""
        return list(islice(self.flows, limit))


def _opens(header: PacketHeader) -> bool:
    """Whether a packet asks for a new TCP connection, known flow or not."""
    return header.proto == TCP and header.tcp_flags & _SYN_ACK == TCP_SYN


def _sequence_and_ack(packet: memoryview) -> tuple[bytes, bytes]:
    """Return both numbers of a TCP packet that was decoded."""
    if packet[0] >> 4 == 4:
        at = (packet[0] & 15) * 4
    else:
        at = IPV6_HEADER + (8 if packet[6] == IPV6_FRAGMENT else 0)
    return bytes(packet[at + 4 : at + 8]), bytes(packet[at + 8 : at + 12])
