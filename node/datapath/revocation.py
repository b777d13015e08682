"""Live flows between their packets: judged anew after a change, cut, reset, forgotten when idle.

A change of filter, peers or prefixes raises the epoch. A flow of an older epoch is judged at its
next packet or by `on_deadline`, a slice at a time, whichever is first.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from engine.evaluate import Reason
from node.datapath.decode import TCP, upper_of
from node.datapath.denials import INBOUND, OUTBOUND
from node.datapath.flows import Flow, FlowState
from node.datapath.reset import reset_to_local

if TYPE_CHECKING:
    from node.datapath.counters import Counters, RuleCounters
    from node.datapath.denials import DenialLog
    from node.datapath.flows import FlowTable
    from node.datapath.installed import InstalledFilter
    from node.wireguard.allowed_ips import AllowedIPs
    from node.wireguard.peer import Peer

EXPIRE_INTERVAL_S = 1.0

_RESET_INTERVAL_S = 0.01
_PENDING_RESETS = 1024
_SWEEP_SLICE = 256
_EXPIRE_SLICE = 1024


class Revocation:
    """Keeps the flows of one table to the present filter and routes."""

    def __init__(
        self,
        flows: FlowTable,
        routes: AllowedIPs[Peer],
        counters: Counters,
        denials: DenialLog,
    ) -> None:
        self.epoch = 0
        """Of the present filter and routes; flows judged under another are judged again."""
        self.to_local: deque[bytes] = deque(maxlen=_PENDING_RESETS)
        """Resets to be written to the TUN device."""
        self._flows = flows
        self._routes = routes
        self._counters = counters
        self._denials = denials
        self._filter: InstalledFilter | None = None
        self._to_judge: list[Flow] = []
        self._to_expire: list[Flow] = []
        self._expire_at = 0.0

    def begin(self, packet_filter: InstalledFilter | None) -> None:
        """Look at every live flow again, with this filter; None lets everything pass."""
        self._filter = packet_filter
        self.epoch += 1
        self._to_judge = list(self._flows)

    @property
    def is_sweeping(self) -> bool:
        """Whether flows wait to be judged anew."""
        return bool(self._to_judge)

    def deadline(self) -> float | None:
        """Return when `on_deadline` has work; -inf while sweeping."""
        if self._to_judge or self._to_expire:
            return float("-inf")
        return self._expire_at if len(self._flows) else None

    def on_deadline(self, now: float) -> None:
        """Sweep, and expire idle flows, a slice at a time."""
        if self._to_judge:
            self.sweep(now)
        if not self._to_expire and now >= self._expire_at:
            self._to_expire = list(self._flows)
            self._expire_at = now + EXPIRE_INTERVAL_S * max(1, len(self._to_expire) >> 12)
        batch = self._to_expire[-_EXPIRE_SLICE:]
        del self._to_expire[-_EXPIRE_SLICE:]
        for flow in batch:
            if now - flow.last_seen > flow.idle_limit_s() and self._flows.holds(flow):
                self._flows.remove(flow)

    def sweep(self, now: float) -> None:
        """Judge some of the flows that no packet has brought up since the last change."""
        batch, self._to_judge = self._to_judge[-_SWEEP_SLICE:], self._to_judge[:-_SWEEP_SLICE]
        for flow in batch:
            if flow.epoch not in (-1, self.epoch) and self._flows.holds(flow):
                self._judge_again(flow, now)

    def is_live(self, flow: Flow, now: float) -> bool:
        """Whether a tracked flow may go on; judges it anew when something changed."""
        if flow.state is FlowState.REVOKED:
            return False
        return flow.epoch == self.epoch or self._judge_again(flow, now)

    def answer_with_reset(self, flow: Flow, packet: memoryview, now: float) -> None:
        """Reset again with numbers fresh from the local side, should the first have missed."""
        if flow.header.proto != TCP or now - flow.checked_at < _RESET_INTERVAL_S:
            return
        sequence, acknowledged = sequence_and_ack(packet)
        self._reset(flow, acknowledged, sequence, now)

    def _judge_again(self, flow: Flow, now: float) -> bool:
        """Ask the present filter and routes about a live flow; cut it when they refuse."""
        header = flow.header
        remote = header.src if flow.is_inbound else header.dst
        peer = self._routes.lookup(remote.to_bytes(4 if header.version == 4 else 16, "big"))
        counters: RuleCounters | None = self._counters.unruled
        if self._filter is not None:
            if flow.is_inbound:
                counters = self._counters.of(self._filter.inbound(header))
            elif not self._filter.outbound(header).allowed:
                counters = None
        if counters is None or peer is None:
            self._revoke(flow, now)
            return False
        if peer is not flow.peer:
            self._flows.move(flow, peer)
        flow.counters = counters
        flow.epoch = self.epoch
        return True

    def _revoke(self, flow: Flow, now: float) -> None:
        flow.state = FlowState.REVOKED
        flow.epoch = -1
        flow.last_seen = now
        self._counters.flows_revoked += 1
        direction = INBOUND if flow.is_inbound else OUTBOUND
        self._denials.add(flow.header, direction, Reason.REVOKED, now)
        if flow.header.proto == TCP and flow.last_ack:
            self._reset(flow, flow.last_ack, flow.last_sequence, now)

    def _reset(self, flow: Flow, acknowledged: bytes, sequence: bytes, now: float) -> None:
        flow.checked_at = now
        self._counters.resets_sent += 1
        self.to_local.append(reset_to_local(flow.outbound_header(), acknowledged, sequence))


def sequence_and_ack(packet: memoryview) -> tuple[bytes, bytes]:
    """Return both numbers of a TCP packet that was decoded."""
    upper = upper_of(packet)
    return bytes(upper[4:8]), bytes(upper[8:12])
