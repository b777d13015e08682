"""The flow table: live flows by the bytes of their packets, bounded in all and for each peer.

A flow stands in two dictionaries, under the key its packets have in each direction. Keys are
addresses and ports exactly as they stand in a packet without options, so that the hot loop makes
one with a single slice. SCTP stands in dictionaries of its own that the hot loop does not ask: each
of its packets is looked at.

When the table or a peer's share is full, the peer's own flows give way: first those that only one
side has spoken on (a flood is made of them), oldest first; then those that were idle longest, found
by a clock's second chance. One peer's flood cannot push another's flows out while there is room.
"""

from __future__ import annotations

from enum import Enum
from itertools import islice
from typing import TYPE_CHECKING

from node.datapath.decode import ICMPV4, ICMPV6, SCTP, TCP, UDP, key_bytes, reverse_key
from node.datapath.sctp import Association

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.evaluate.flow import PacketHeader
    from node.datapath.counters import RuleCounters
    from node.wireguard.peer import Peer

MAX_FLOWS = 65536
MAX_FLOWS_PER_PEER = 16384

_OPENING_S = 60.0
_TCP_IDLE_S = 7440.0
_SCTP_IDLE_S = 7440.0
"""As TCP: heartbeats, every 30 s by default, may be off."""
_CLOSING_S = 60.0
_UDP_IDLE_S = 180.0
_ICMP_IDLE_S = 30.0
_OTHER_IDLE_S = 600.0
_REVOKED_S = 60.0
_SECOND_CHANCES = 16


class FlowState(Enum):
    """Where a flow stands; decides how long it may be idle."""

    OPEN = "open"
    CLOSING = "closing"
    """TCP: a FIN or RST was seen. SCTP: an ABORT or SHUTDOWN COMPLETE."""
    REVOKED = "revoked"
    """Cut by a filter; kept so that its packets are refused and, for TCP, answered by resets."""


class Flow:
    """One flow of one peer. `epoch` tells which filter judged it last; -1 forces a new look."""

    __slots__ = (
        "association",
        "began",
        "bytes_in",
        "bytes_out",
        "checked_at",
        "counters",
        "epoch",
        "header",
        "inbound_key",
        "is_inbound",
        "last_ack",
        "last_seen",
        "last_sequence",
        "outbound_key",
        "packets_in",
        "packets_out",
        "peer",
        "state",
    )

    def __init__(
        self,
        header: PacketHeader,
        peer: Peer,
        counters: RuleCounters,
        epoch: int,
        now: float,
        *,
        is_inbound: bool,
    ) -> None:
        self.header = header
        """Of the first packet, in that packet's direction."""
        self.is_inbound = is_inbound
        """Whether the peer began it."""
        self.peer = peer
        self.counters = counters
        self.epoch = epoch
        self.state = FlowState.OPEN
        key = key_bytes(header)
        self.inbound_key = key if is_inbound else reverse_key(key)
        self.outbound_key = reverse_key(key) if is_inbound else key
        self.began = self.last_seen = self.checked_at = now
        self.packets_in = self.packets_out = self.bytes_in = self.bytes_out = 0
        self.last_ack = b""
        """TCP: acknowledgement number in the local side's last packet."""
        self.last_sequence = b"\0\0\0\0"
        self.association = Association() if header.proto == SCTP else None
        """SCTP: what is known of its tags."""

    @property
    def is_settled(self) -> bool:
        """Whether both sides have spoken, and meant it."""
        if self.association is not None:
            return self.association.is_established
        return self.packets_in > 0 and self.packets_out > 0

    def idle_limit_s(self) -> float:
        """Return how long the flow may be idle."""
        match self.state:
            case FlowState.REVOKED:
                return _REVOKED_S
            case FlowState.CLOSING:
                return _CLOSING_S
            case FlowState.OPEN:
                return _idle_limit_s(self.header.proto, is_settled=self.is_settled)

    def outbound_header(self) -> PacketHeader:
        """Return the flow's header in the local side's direction."""
        header = self.header
        if not self.is_inbound:
            return header
        return header._replace(
            src=header.dst,
            dst=header.src,
            src_port=header.dst_port,
            dst_port=header.src_port,
        )


def _idle_limit_s(proto: int, *, is_settled: bool) -> float:
    if proto == TCP:
        return _TCP_IDLE_S if is_settled else _OPENING_S
    if proto == SCTP:
        return _SCTP_IDLE_S if is_settled else _OPENING_S
    if proto == UDP:
        return _UDP_IDLE_S if is_settled else _OPENING_S
    return _ICMP_IDLE_S if proto in (ICMPV4, ICMPV6) else _OTHER_IDLE_S


class _Share:
    """One peer's flows: `young` in order of arrival, `old` in clock order."""

    __slots__ = ("old", "young")

    def __init__(self) -> None:
        self.young: dict[Flow, None] = {}
        self.old: dict[Flow, None] = {}

    def __len__(self) -> int:
        return len(self.young) + len(self.old)

    def victim(self) -> Flow:
        """Return the flow that gives way. The share is not empty."""
        for flow in list(islice(self.young, _SECOND_CHANCES)):
            if not flow.is_settled:
                return flow
            del self.young[flow]
            self.old[flow] = None
        for flow in list(islice(self.old, _SECOND_CHANCES)):
            if flow.last_seen <= flow.checked_at:
                return flow
            flow.checked_at = flow.last_seen
            del self.old[flow]
            self.old[flow] = None
        return next(iter(self.old or self.young))


class FlowTable:
    """Live flows, found by protocol and packet bytes in either direction."""

    def __init__(
        self, max_flows: int = MAX_FLOWS, max_flows_per_peer: int = MAX_FLOWS_PER_PEER
    ) -> None:
        self.inbound: dict[int, dict[bytes, Flow]] = {}
        """Flows that the hot loop may pass by itself, by protocol."""
        self.outbound: dict[int, dict[bytes, Flow]] = {}
        self._sctp: tuple[dict[bytes, Flow], dict[bytes, Flow]] = ({}, {})
        self.evicted = 0
        self._max_flows = max_flows
        self._max_flows_per_peer = max_flows_per_peer
        self._shares: dict[Peer, _Share] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Flow]:
        for share in self._shares.values():
            yield from share.young
            yield from share.old

    def add(self, flow: Flow) -> None:
        """Add a flow, in place of one with the same key; another may have to go."""
        inbound, outbound = self._tables(flow.header.proto)
        for key, table in ((flow.inbound_key, inbound), (flow.outbound_key, outbound)):
            known = table.get(key)
            if known is not None:
                self.remove(known)
        share = self._shares.setdefault(flow.peer, _Share())
        if len(share) >= self._max_flows_per_peer:
            self._evict(share)
        elif self._count >= self._max_flows:
            self._evict(max(self._shares.values(), key=len))
        # The eviction may have dropped this very share as empty.
        self._shares.setdefault(flow.peer, share).young[flow] = None
        self._count += 1
        inbound[flow.inbound_key] = flow
        outbound[flow.outbound_key] = flow

    def remove(self, flow: Flow) -> None:
        """Forget a flow that is in the table."""
        share = self._shares[flow.peer]
        if flow in share.young:
            del share.young[flow]
        else:
            del share.old[flow]
        if not len(share):
            del self._shares[flow.peer]
        self._count -= 1
        inbound, outbound = self._tables(flow.header.proto)
        del inbound[flow.inbound_key]
        del outbound[flow.outbound_key]

    def holds(self, flow: Flow) -> bool:
        """Whether this very flow is still in the table."""
        return self._tables(flow.header.proto)[0].get(flow.inbound_key) is flow

    def find(self, header: PacketHeader, *, is_inbound: bool) -> Flow | None:
        """Return the flow that a packet belongs to by its addresses and ports."""
        inbound, outbound = self._tables(header.proto)
        return (inbound if is_inbound else outbound).get(key_bytes(header))

    def move(self, flow: Flow, peer: Peer) -> None:
        """Give a flow to another peer: a prefix moved."""
        self.remove(flow)
        flow.peer = peer
        self.add(flow)

    def _tables(self, proto: int) -> tuple[dict[bytes, Flow], dict[bytes, Flow]]:
        if proto == SCTP:
            return self._sctp
        return self.inbound.setdefault(proto, {}), self.outbound.setdefault(proto, {})

    def _evict(self, share: _Share) -> None:
        self.remove(share.victim())
        self.evicted += 1
