"""Connection tracking: what becomes of a packet that the hot loop does not know.

Inbound, a new flow needs a rule (policy reference 9.3); what answers a flow of ours needs none.
Outbound is free, as the receiver enforces, but it is tracked, and link-local and multicast stay
home. A plain WireGuard device enforces nothing: what goes to one needs a rule of its here.
Stricter than the reference client: inbound TCP that belongs to no tracked flow needs a rule like a
SYN does, and so does SCTP that carries another verification tag than the association between its
addresses and ports. `revocation` cuts flows whose rule went away.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.evaluate import Reason
from engine.evaluate.flow import TCP_ACK, TCP_FIN, TCP_RST, TCP_SYN
from node.datapath.decode import SCTP, TCP, decode, upper_of
from node.datapath.denials import INBOUND, OUTBOUND
from node.datapath.flows import Flow, FlowState
from node.datapath.revocation import Revocation, sequence_and_ack
from node.datapath.sctp import read
from node.wireguard.inner import destination_of, source_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.evaluate import PacketHeader
    from node.datapath.admissions import AdmissionLog
    from node.datapath.counters import Counters, RuleCounters
    from node.datapath.denials import DenialLog
    from node.datapath.flows import FlowTable
    from node.datapath.installed import InstalledFilter
    from node.datapath.sctp import SctpPacket
    from node.wireguard.allowed_ips import AllowedIPs
    from node.wireguard.peer import Peer

_SYN_ACK = TCP_SYN | TCP_ACK
_UNTRACKED = frozenset({Reason.LATER_FRAGMENT, Reason.ICMP_REPLY, Reason.TSMP})


class Tracker:
    """Finds and begins flows, by the present filter. Without one (None) everything passes."""

    def __init__(
        self,
        flows: FlowTable,
        routes: AllowedIPs[Peer],
        counters: Counters,
        denials: DenialLog,
        admissions: AdmissionLog,
        note_dropped: Callable[[memoryview, str, Reason], None],
    ) -> None:
        """Track in `flows`; `note_dropped` is told packet, direction and reason."""
        self.revocation = Revocation(flows, routes, counters, denials)
        self._flows = flows
        self._routes = routes
        self._counters = counters
        self._denials = denials
        self._admissions = admissions
        self._note_dropped = note_dropped
        self._filter: InstalledFilter | None = None
        self._epoch = 0
        self._untracked: dict[Peer, Flow] = {}

    def rejudge(self, packet_filter: InstalledFilter | None) -> int:
        """Look at every live flow again, with this filter; return the epoch that begins."""
        self._filter = packet_filter
        self.revocation.begin(packet_filter)
        self._epoch = self.revocation.epoch
        self._untracked.clear()
        return self._epoch

    def judge_inbound(
        self, packet: memoryview, count: int, size: int, peer: Peer, now: float
    ) -> Flow | None:
        """Judge packets from `peer` like `Gate.admit_inbound`."""
        header = decode(packet)
        if header is None:
            self._counters.malformed_in += count
            return None
        if self._routes.lookup(source_of(packet)) is not peer:
            self._deny(header, INBOUND, Reason.SPOOFED, count, packet, now)
            return None
        flow = self._flows.find(header, is_inbound=True)
        sctp = _read_sctp(header, packet)
        if flow is not None and _belongs(header, sctp, flow, is_inbound=True):
            if not self.revocation.is_live(flow, now) or flow.peer is not peer:
                self._deny(header, INBOUND, Reason.REVOKED, count, packet, now)
                return None
        else:
            flow = self._new_inbound(header, packet, count, peer, now)
            if flow is None:
                return None
        _note_state(flow, header, sctp, is_inbound=True)
        flow.last_seen = now
        flow.packets_in += count
        flow.bytes_in += size
        flow.counters.packets += count
        flow.counters.bytes += size
        return flow

    def _new_inbound(
        self, header: PacketHeader, packet: memoryview, count: int, peer: Peer, now: float
    ) -> Flow | None:
        if self._filter is None:
            return self._begin(header, peer, self._counters.unruled, now, is_inbound=True)
        verdict = self._filter.inbound(header)
        if verdict.reason in _UNTRACKED:
            return self._untracked_flow(header, peer, now)
        counters = self._counters.of(verdict)
        if counters is None:
            self._deny(header, INBOUND, verdict.reason, count, packet, now)
            return None
        if counters.rule is not None:
            self._admissions.add(header, counters.index, counters.rule, now)
        return self._begin(header, peer, counters, now, is_inbound=True)

    def judge_outbound(self, packet: memoryview, count: int, size: int, now: float) -> Flow | None:
        """Judge packets of this host like `Gate.admit_outbound`."""
        header = decode(packet)
        if header is None:
            self._counters.malformed_out += count
            return None
        peer = self._routes.lookup(destination_of(packet))
        if peer is None:
            self._counters.no_route += count
            return None
        flow = self._flows.find(header, is_inbound=False)
        sctp = _read_sctp(header, packet)
        if flow is not None and _belongs(header, sctp, flow, is_inbound=False):
            if not self.revocation.is_live(flow, now):
                self.revocation.answer_with_reset(flow, packet, now)
                self._deny(header, OUTBOUND, Reason.REVOKED, count, packet, now)
                return None
        else:
            flow = self._new_outbound(header, packet, count, peer, now)
            if flow is None:
                return None
        if header.proto == TCP:
            flow.last_sequence, flow.last_ack = sequence_and_ack(packet)
        _note_state(flow, header, sctp, is_inbound=False)
        flow.last_seen = now
        flow.packets_out += count
        flow.bytes_out += size
        flow.counters.packets += count
        flow.counters.bytes += size
        return flow

    def _new_outbound(
        self, header: PacketHeader, packet: memoryview, count: int, peer: Peer, now: float
    ) -> Flow | None:
        if self._filter is not None:
            verdict = self._filter.outbound(header)
            if not verdict.allowed:
                self._deny(header, OUTBOUND, verdict.reason, count, packet, now)
                return None
            if verdict.reason in _UNTRACKED:
                return self._untracked_flow(header, peer, now)
        return self._begin(header, peer, self._counters.unruled, now, is_inbound=False)

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
        self._flows.add(flow)
        self._counters.flows_evicted = self._flows.evicted
        counters.flows += 1
        return flow

    def _untracked_flow(self, header: PacketHeader, peer: Peer, now: float) -> Flow:
        """Return a stand-in for packets that pass without a flow: later fragments, ICMP errors."""
        flow = self._untracked.get(peer)
        if flow is None:
            flow = Flow(header, peer, self._counters.unruled, -1, now, is_inbound=False)
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
        self._counters.drops[direction, reason] += count
        self._denials.add(header, direction, reason, now)
        self._note_dropped(packet, direction, reason)


def _read_sctp(header: PacketHeader, packet: memoryview) -> SctpPacket | None:
    """Return what an SCTP packet says; the packet was decoded, so it is well-formed."""
    return read(upper_of(packet), is_whole=False) if header.proto == SCTP else None


def _belongs(
    header: PacketHeader, sctp: SctpPacket | None, flow: Flow, *, is_inbound: bool
) -> bool:
    """Whether a packet goes on with the flow of its addresses and ports, or begins another."""
    if sctp is None or flow.association is None:
        return header.proto != TCP or header.tcp_flags & _SYN_ACK != TCP_SYN
    if flow.state is FlowState.REVOKED:
        return not sctp.opens
    if is_inbound:
        return flow.association.owns(sctp, is_inbound=True)
    # The local side never needs leave: what it sends keeps the flow, and with it who began it.
    return not (sctp.opens and flow.association.is_closed)


def _note_state(
    flow: Flow, header: PacketHeader, sctp: SctpPacket | None, *, is_inbound: bool
) -> None:
    if sctp is not None and flow.association is not None:
        flow.association.note(sctp, is_inbound=is_inbound)
        flow.state = FlowState.CLOSING if flow.association.is_closed else FlowState.OPEN
    elif header.proto == TCP and header.tcp_flags & (TCP_FIN | TCP_RST):
        flow.state = FlowState.CLOSING
