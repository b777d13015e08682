"""Vocabulary of decisions: the flow or packet asked about, and the verdict on it.

Addresses are numbers (`engine.netset.address`), because a packet path asks far too often to build
objects for them.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

from engine.netset.address import Address, AddressError, format_address
from engine.netset.protocols import protocol_name

if TYPE_CHECKING:
    from engine.rules import FilterRule, Origin

__all__ = [
    "FRAGMENT",
    "TCP_ACK",
    "TCP_FIN",
    "TCP_RST",
    "TCP_SYN",
    "UNKNOWN",
    "Flow",
    "FlowKey",
    "PacketHeader",
    "Reason",
    "Verdict",
]

UNKNOWN = 0
"""Pseudo-protocol of a packet too short or too odd to name one (policy reference 9.1)."""

FRAGMENT = 255
"""Pseudo-protocol of a fragment other than the first. No rule can name it or `UNKNOWN`."""

TCP_FIN = 0x01
TCP_SYN = 0x02
TCP_RST = 0x04
TCP_ACK = 0x10


class Flow(NamedTuple):
    """A new flow as rules see it: who wants to reach what."""

    version: int
    """4 or 6, of both addresses."""
    src: int
    dst: int
    proto: int
    """IP protocol number."""
    dst_port: int = 0
    """0 where the protocol has no ports."""

    @classmethod
    def of(cls, src: str, dst: str, proto: int, dst_port: int = 0) -> Flow:
        """Build a flow from address texts.

        Raises AddressError where one is no address or the two are of different versions.
        """
        version, source = Address.parse(src)
        other, destination = Address.parse(dst)
        if version != other:
            raise AddressError(f"no flow between IPv{version} and IPv{other}: {src} to {dst}")
        return cls(version, source, destination, proto, dst_port)

    def __str__(self) -> str:
        src = format_address(self.version, self.src)
        dst = format_address(self.version, self.dst)
        return f"{protocol_name(self.proto)} {src} -> {dst} port {self.dst_port}"


class FlowKey(NamedTuple):
    """Both ends of a flow in one direction; what tells one live flow from another.

    An ICMP echo carries its identifier in both ports, so that the reply is the reversed key.
    """

    version: int
    proto: int
    src: int
    src_port: int
    dst: int
    dst_port: int

    def reversed(self) -> FlowKey:
        """Return the key of the packets that answer."""
        version, proto, src, src_port, dst, dst_port = self
        return FlowKey(version, proto, dst, dst_port, src, src_port)

    @property
    def flow(self) -> Flow:
        """The question to the rules about this key."""
        return Flow(self.version, self.src, self.dst, self.proto, self.dst_port)


class PacketHeader(NamedTuple):
    """What the filter needs of one decoded packet."""

    version: int
    src: int
    dst: int
    proto: int
    """Upper protocol number, or `UNKNOWN` or `FRAGMENT`."""
    src_port: int = 0
    """0 where there are no ports; the identifier of an ICMP echo."""
    dst_port: int = 0
    tcp_flags: int = 0
    """Flag byte of the TCP header."""
    icmp_type: int = 0

    @property
    def key(self) -> FlowKey:
        """The flow that the packet belongs to, in the packet's direction."""
        return FlowKey(self.version, self.proto, self.src, self.src_port, self.dst, self.dst_port)


class Reason(Enum):
    """Why a packet or flow was let through or not. Values are stable: they label metrics."""

    RULE = "rule"
    """Allowed: a rule covers it."""
    REPLY = "reply"
    """Allowed: it answers a flow that this node began."""
    ESTABLISHED = "established"
    """Allowed: TCP that does not open a connection."""
    ICMP_REPLY = "icmp-reply"
    """Allowed: an echo reply or an ICMP error."""
    LATER_FRAGMENT = "later-fragment"
    """Allowed: useless without the first fragment, which is judged."""
    TSMP = "tsmp"
    """Allowed: a message of the network itself."""
    OUTBOUND = "outbound"
    """Allowed: this node sends it; the receiver enforces."""

    NO_RULE = "no-rule"
    """Denied: no rule covers it."""
    NOT_LOCAL = "not-local"
    """Denied: the destination is neither this node nor a route that it serves."""
    SPOOFED = "spoofed"
    """Denied: the peer may not send from this source address."""
    MULTICAST = "multicast"
    """Denied: multicast destination."""
    LINK_LOCAL = "link-local"
    """Denied: link-local destination."""
    UNKNOWN_PROTOCOL = "unknown-protocol"
    """Denied: no upper protocol could be read."""
    REVOKED = "revoked"
    """Denied: the flow was cut when a new filter no longer allowed it."""


class Verdict(NamedTuple):
    """The answer on one flow or packet."""

    allowed: bool
    reason: Reason
    rule_index: int | None = None
    """Position in the filter of the first rule that allows, where `reason` is `RULE`."""
    rule: FilterRule | None = None
    """That rule."""

    @property
    def origins(self) -> tuple[Origin, ...]:
        """Policy rules that the allowing rule was compiled from."""
        return () if self.rule is None else self.rule.origins
