"""The gate: the policy on every packet, both directions.

The hot loop asks once for each super-packet or group with `admit_inbound` and `admit_outbound`. A
known flow costs one slice and one dictionary look-up; everything else goes the long way round, by
`tracking`.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from engine.evaluate.flow import TCP_FIN, TCP_RST, TCP_SYN
from engine.rules import MalformedRuleError
from node.datapath.admissions import AdmissionLog
from node.datapath.counters import Counters
from node.datapath.decode import IPV4_HEADER, IPV6_HEADER, TCP
from node.datapath.denials import DenialLog
from node.datapath.flows import Flow, FlowTable
from node.datapath.installed import DENY_ALL, InstalledFilter
from node.datapath.tracking import Tracker

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.evaluate import Reason
    from engine.netset import IpSet
    from engine.rules import FilterRule
    from node.datapath.capture import Capture
    from node.datapath.installed import Deputy
    from node.wireguard.allowed_ips import AllowedIPs
    from node.wireguard.peer import Peer

__all__ = ["DENY_ALL", "Gate", "InstalledFilter"]

_FIN_SYN_RST = TCP_FIN | TCP_SYN | TCP_RST
_FAST_V4 = IPV4_HEADER + 20
_FAST_V6 = IPV6_HEADER + 20


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
        self.admissions = AdmissionLog()
        self.flows = FlowTable() if flows is None else flows
        self.capture: Capture | None = None
        self.filter: InstalledFilter | None = None
        self.refusal = ""
        """Why the last filter offered was refused; empty when it was taken."""
        self._epoch = 0
        self._in = self.flows.inbound
        self._out = self.flows.outbound
        tracker = Tracker(
            self.flows, routes, self.counters, self.denials, self.admissions, self._note_dropped
        )
        self._rejudge = tracker.rejudge
        self._judge_inbound = tracker.judge_inbound
        self._judge_outbound = tracker.judge_outbound
        self._revocation = tracker.revocation
        self.to_local = self._revocation.to_local
        """Resets to be written to the TUN device."""
        if packet_filter is not None:
            self.install(packet_filter)

    # Filters.

    def install(self, packet_filter: InstalledFilter | None) -> None:
        """Swap the filter. Live flows are judged anew: at once by use, soon by `on_deadline`."""
        self.filter = packet_filter
        self.refusal = ""
        self.counters.install_rules(() if packet_filter is None else packet_filter.rules)
        self.counters.filters_installed += 1
        self.rejudge()

    def install_rules(
        self, rules: Sequence[FilterRule], local: IpSet, deputy: Deputy | None = None
    ) -> None:
        """Read, index and install rules.

        Raises MalformedRuleError; the filter that was there stays, and `refusal` says so. Where
        none was there yet, nothing gets in.
        """
        try:
            packet_filter = InstalledFilter(rules, local, deputy)
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
        self._epoch = self._rejudge(self.filter)

    @property
    def is_sweeping(self) -> bool:
        """Whether flows wait to be judged anew."""
        return self._revocation.is_sweeping

    def deadline(self) -> float | None:
        """Return when `on_deadline` has work; -inf while sweeping."""
        return self._revocation.deadline()

    def on_deadline(self, now: float) -> None:
        """Sweep, and expire idle flows, a slice at a time."""
        self._revocation.on_deadline(now)

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

    def _note_dropped(self, packet: memoryview, direction: str, reason: Reason) -> None:
        if self.capture is not None:
            self.capture.dropped(packet, direction, reason)

    def recent_flows(self, limit: int) -> list[Flow]:
        """Return up to `limit` live flows."""
        return list(islice(self.flows, limit))
