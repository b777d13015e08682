"""Connection tracking: which flows are live, and which to cut when the filter changes.

A pure table. The packet path asks `observe` about every packet; what belongs to no live flow it
puts to the rules and, if allowed, records with `open`. Time is an argument, in seconds of any
monotonic clock. The client this network is compatible with looks at the opening of TCP alone
(policy reference 9.3), so a revoked flow lives on there; here `rejudge` finds it, and it stays in
the table as `REVOKED` for a while so that neither side can carry it on.

    OPENING ──reply──> ANSWERED ──TCP: originator again──> ESTABLISHED ──FIN──> CLOSING
       any state ──RST, or FIN from both──> CLOSED          any state ──rejudge──> REVOKED

Other protocols than TCP go from OPENING straight to ESTABLISHED.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from enum import Enum
from heapq import heappop, heappush
from math import inf
from typing import TYPE_CHECKING

from engine.evaluate.flow import TCP_ACK, TCP_FIN, TCP_RST, TCP_SYN, FlowKey
from engine.netset.protocols import ICMPV4, ICMPV6, SCTP, TCP, UDP

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator

    from engine.evaluate.flow import Flow, Verdict

__all__ = ["ConnTrack", "FlowState", "LiveFlow", "Timeouts"]


class FlowState(Enum):
    """How far a flow has come."""

    OPENING = "opening"
    """Only the originator has spoken."""
    ANSWERED = "answered"
    """TCP: the other side answered, and the originator has not confirmed."""
    ESTABLISHED = "established"
    """Both sides have spoken."""
    CLOSING = "closing"
    """TCP: one side has finished."""
    CLOSED = "closed"
    """TCP: reset, or finished by both sides; kept for stragglers."""
    REVOKED = "revoked"
    """The filter no longer allows it; its packets are to be dropped."""


_UNSETTLED = frozenset({FlowState.OPENING, FlowState.ANSWERED})
_OVER = frozenset({FlowState.CLOSED, FlowState.REVOKED})
_ICMP = frozenset({ICMPV4, ICMPV6})


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long a flow may be idle, in seconds."""

    opening_s: float = 60.0
    """Not settled, any protocol."""
    tcp_s: float = 7440.0
    """RFC 5382 asks for at least 2 hours and 4 minutes."""
    tcp_closing_s: float = 240.0
    """RFC 5382 asks for at least 4 minutes."""
    tcp_closed_s: float = 30.0
    udp_s: float = 300.0
    """RFC 4787 recommends 5 minutes."""
    icmp_s: float = 60.0
    """RFC 5508 asks for at least 60 seconds."""
    sctp_s: float = 7440.0
    other_s: float = 600.0
    revoked_s: float = 60.0

    def idle_s(self, proto: int, state: FlowState) -> float:
        """Return the limit for a flow of a protocol in a state."""
        match state:
            case FlowState.OPENING | FlowState.ANSWERED:
                return self.icmp_s if proto in _ICMP else self.opening_s
            case FlowState.CLOSING:
                return self.tcp_closing_s
            case FlowState.CLOSED:
                return self.tcp_closed_s
            case FlowState.REVOKED:
                return self.revoked_s
            case FlowState.ESTABLISHED:
                return self._established_s(proto)

    def _established_s(self, proto: int) -> float:
        if proto in _ICMP:
            return self.icmp_s
        return {TCP: self.tcp_s, UDP: self.udp_s, SCTP: self.sctp_s}.get(proto, self.other_s)


@dataclass(slots=True, eq=False)
class LiveFlow:
    """One flow in the table. Only the table writes to it."""

    key: FlowKey
    """In the originator's direction."""
    peer: Hashable
    """The peer at the other end, whoever began."""
    is_inbound: bool
    """Whether the peer began."""
    verdict: Verdict
    """Why it may pass; renewed when the filter changes."""
    state: FlowState
    expires_at: float
    finished: int = 0
    """TCP: bit 0 once the originator has sent a FIN, bit 1 once the other side has."""
    due_at: float = inf
    """When the table will look at it next; never after `expires_at`."""


class _Share:
    """The flows of one peer, least recently seen first."""

    __slots__ = ("settled", "unsettled")

    def __init__(self) -> None:
        self.unsettled: OrderedDict[FlowKey, LiveFlow] = OrderedDict()
        self.settled: OrderedDict[FlowKey, LiveFlow] = OrderedDict()

    def __len__(self) -> int:
        return len(self.unsettled) + len(self.settled)

    def place(self, flow: LiveFlow) -> None:
        """Put a flow last in the queue that its state calls for."""
        self.discard(flow)
        queue = self.unsettled if flow.state in _UNSETTLED else self.settled
        queue[flow.key] = flow

    def discard(self, flow: LiveFlow) -> None:
        if self.unsettled.pop(flow.key, None) is None:
            self.settled.pop(flow.key, None)

    def victim(self) -> LiveFlow:
        """Return the flow to give up first: a flood is made of flows that never settle."""
        return next(iter((self.unsettled or self.settled).values()))


class ConnTrack:
    """A bounded table of live flows.

    When it is full, the least recently seen flow of the peer that opens another one gives way, or
    of the peer with the most flows where the opener has less than an equal share. So one peer's
    flood ends up displacing its own flows only.
    """

    def __init__(self, capacity: int = 65536, timeouts: Timeouts | None = None) -> None:
        """Hold at most `capacity` flows, at least 1."""
        self._capacity = max(capacity, 1)
        self._timeouts = timeouts or Timeouts()
        self._flows: dict[FlowKey, LiveFlow] = {}
        """By the key of either direction."""
        self._shares: dict[Hashable, _Share] = {}
        self._due: list[tuple[float, int, LiveFlow]] = []
        self._pushes = 0
        self._size = 0
        self.evicted = 0
        """Flows that gave way to others so far."""

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[LiveFlow]:
        for share in self._shares.values():
            yield from share.unsettled.values()
            yield from share.settled.values()

    def observe(self, key: FlowKey, now: float, tcp_flags: int = 0) -> LiveFlow | None:
        """Return the live flow that a packet belongs to, advanced by the packet.

        `key` is in the packet's direction. None where there is none: then the packet is for the
        rules to judge. So is a SYN on the ports of a flow that is over. A flow returned as
        `REVOKED` is to be dropped.
        """
        flow = self._flows.get(key)
        if flow is None:
            return None
        reopens = key.proto == TCP and tcp_flags & (TCP_SYN | TCP_ACK) == TCP_SYN
        if now >= flow.expires_at or (reopens and flow.state in _OVER):
            self._remove(flow)
            return None
        flow.state = _advanced(flow, tcp_flags, is_reply=key != flow.key)
        self._refresh(flow, now)
        return flow

    def open(
        self,
        key: FlowKey,
        peer: Hashable,
        verdict: Verdict,
        now: float,
        *,
        is_inbound: bool,
    ) -> LiveFlow:
        """Record a flow that was just allowed, in place of any with the same ends.

        `key` is in the direction of its first packet, which came from `peer` if `is_inbound` and
        goes to it otherwise.
        """
        known = self._flows.get(key)
        if known is not None:
            self._remove(known)
        if self._size >= self._capacity:
            self.expire(now)
        if self._size >= self._capacity:
            self._remove(self._victim(peer))
            self.evicted += 1
        flow = LiveFlow(key, peer, is_inbound, verdict, FlowState.OPENING, now)
        self._flows[key] = self._flows[key.reversed()] = flow
        self._shares.setdefault(peer, _Share())
        self._size += 1
        self._refresh(flow, now)
        return flow

    def rejudge(self, decide: Callable[[Flow], Verdict], now: float) -> list[LiveFlow]:
        """Put every flow that a peer began to a new filter; return those to cut.

        They stay as `REVOKED`. A flow revoked earlier that is allowed again is forgotten, so that
        its next packet is judged as new. Flows that this node began need no rule here.
        """
        cut = []
        for flow in [flow for flow in self if flow.is_inbound]:
            verdict = decide(flow.key.flow)
            if verdict.allowed:
                flow.verdict = verdict
                if flow.state is FlowState.REVOKED:
                    self._remove(flow)
            elif flow.state is not FlowState.REVOKED:
                flow.state = FlowState.REVOKED
                self._refresh(flow, now)
                cut.append(flow)
        return cut

    def drop_peer(self, peer: Hashable) -> list[LiveFlow]:
        """Forget all flows of a peer that is gone, and return them."""
        share = self._shares.get(peer)
        gone = [] if share is None else [*share.unsettled.values(), *share.settled.values()]
        for flow in gone:
            self._remove(flow)
        return gone

    def deadline(self) -> float | None:
        """Return when `expire` should run next; None while the table is empty."""
        return self._due[0][0] if self._due else None

    def expire(self, now: float) -> list[LiveFlow]:
        """Forget the flows that were idle too long, and return them."""
        gone = []
        while self._due and self._due[0][0] <= now:
            due_at, _, flow = heappop(self._due)
            if self._flows.get(flow.key) is not flow or due_at != flow.due_at:
                continue
            if flow.expires_at <= now:
                self._remove(flow)
                gone.append(flow)
            else:
                self._schedule(flow)
        return gone

    def _refresh(self, flow: LiveFlow, now: float) -> None:
        flow.expires_at = now + self._timeouts.idle_s(flow.key.proto, flow.state)
        self._shares[flow.peer].place(flow)
        # A later look finds the new time by itself; only an earlier one has to be announced.
        if flow.expires_at < flow.due_at:
            self._schedule(flow)

    def _schedule(self, flow: LiveFlow) -> None:
        if len(self._due) > 2 * self._size + 64:
            self._drop_stale_looks()
        flow.due_at = flow.expires_at
        self._pushes += 1
        heappush(self._due, (flow.due_at, self._pushes, flow))

    def _drop_stale_looks(self) -> None:
        self._due = sorted(
            look
            for look in self._due
            if self._flows.get(look[2].key) is look[2] and look[0] == look[2].due_at
        )

    def _victim(self, opener: Hashable) -> LiveFlow:
        own = self._shares.get(opener)
        if own is not None and len(own) * len(self._shares) >= self._capacity:
            return own.victim()
        return max(self._shares.values(), key=len).victim()

    def _remove(self, flow: LiveFlow) -> None:
        del self._flows[flow.key]
        self._flows.pop(flow.key.reversed(), None)
        self._size -= 1
        share = self._shares[flow.peer]
        share.discard(flow)
        if not share:
            del self._shares[flow.peer]


def _advanced(flow: LiveFlow, tcp_flags: int, *, is_reply: bool) -> FlowState:
    """Return the state after one more packet."""
    if flow.state is FlowState.REVOKED:
        return FlowState.REVOKED
    if flow.key.proto != TCP:
        return FlowState.ESTABLISHED if is_reply else flow.state
    if tcp_flags & TCP_FIN:
        flow.finished |= 2 if is_reply else 1
    if tcp_flags & TCP_RST or flow.finished == 3:
        return FlowState.CLOSED
    if flow.state is FlowState.CLOSED:
        return FlowState.CLOSED
    if flow.finished:
        return FlowState.CLOSING
    if flow.state is FlowState.OPENING and is_reply:
        return FlowState.ANSWERED
    if flow.state is FlowState.ANSWERED and not is_reply and not tcp_flags & TCP_SYN:
        return FlowState.ESTABLISHED
    return flow.state
