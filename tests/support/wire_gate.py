"""A gate with two peers, for tests that judge packets without sockets."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from engine.netset import IpSet
from engine.rules import FilterRule, NetPortRange, PortRange
from node.datapath.gate import Gate, InstalledFilter
from node.wireguard.allowed_ips import AllowedIPs
from node.wireguard.peer import Peer

if TYPE_CHECKING:
    from node.datapath.flows import FlowTable

LOCAL = "10.0.0.2"
REMOTE = "10.0.0.1"
OTHER = "10.0.9.9"


def rule(
    src: str = REMOTE, dst: str = LOCAL, first: int = 22, last: int | None = None, **fields: object
) -> FilterRule:
    ports = PortRange(first, first if last is None else last)
    return FilterRule((src,), (NetPortRange(dst, ports),), **fields)  # type: ignore[arg-type]


class GateBed:
    """Peer one owns 10.0.0.1 and fd00::1, peer two 10.0.9.0/24."""

    def __init__(self, rules: list[FilterRule] | None, flows: FlowTable | None = None) -> None:
        self.routes: AllowedIPs[Peer] = AllowedIPs()
        self.one, self.two = Peer(b"1" * 32), Peer(b"2" * 32)
        for text, peer in ((REMOTE, self.one), ("fd00::1", self.one), ("10.0.9.0/24", self.two)):
            self.routes.insert(ipaddress.ip_network(text), peer)
        installed = None if rules is None else self.filter(rules)
        self.gate = Gate(self.routes, installed, flows)
        self.now = 100.0

    def filter(self, rules: list[FilterRule]) -> InstalledFilter:
        return InstalledFilter(rules, IpSet.of(LOCAL, "fd00::2"))

    def arrives(self, packet: bytes, peer: Peer | None = None) -> bool:
        """Whether a packet from peer one, or another, is let in."""
        view = memoryview(bytearray(packet))
        size = len(packet)
        return self.gate.admit_inbound(view, 1, size, peer or self.one, self.now) is not None

    def leaves(self, packet: bytes) -> bool:
        """Whether a packet of this host is let out."""
        view = memoryview(bytearray(packet))
        return self.gate.admit_outbound(view, 1, len(packet), self.now) is not None
