"""The seam between the agent and the packet path.

What is on the other side may be the Python of this package or, later, a native accelerator that
takes the hot loop: bursts go in and out, never single packets, and nothing calls back per packet.

    agent -> path   peers and allowed IPs, sessions, the filter (swapped whole), datagrams by path
    path -> agent   handshake and foreign datagrams, activity by burst, counters
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from node.wireguard.session import SessionSink

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.netset import IpSet
    from engine.rules import FilterRule
    from node.datapath.counters import Counters
    from node.datapath.installed import Deputy
    from node.transport.demux import DatagramKind
    from node.wireguard.allowed_ips import IPNetwork
    from node.wireguard.keys import SecretKey
    from node.wireguard.path import Path


@dataclass(frozen=True, slots=True)
class PeerConfig:
    """All that the packet path is told about a peer."""

    public_key: bytes
    allowed_ips: tuple[IPNetwork, ...] = ()
    path: Path | None = None
    """Where to send first; None leaves what is known."""
    preshared: SecretKey | None = field(default=None, repr=False)
    persistent_keepalive_s: int = 0


class Carrier(Protocol):
    """Takes bursts of datagrams to where a path leads."""

    def send(self, path: Path, burst: memoryview | bytes, segment: int) -> int:
        """Send datagrams of `segment` bytes, the last perhaps shorter; returns how many failed."""


class ForeignDatagrams(Protocol):
    """Gets what shares the socket with WireGuard."""

    def __call__(self, kind: DatagramKind, datagram: bytes, path: Path, now: float) -> None:
        """Take one STUN or disco datagram."""


class DataPath(SessionSink, Protocol):
    """The packet path of one interface. One thread at a time; `now` is monotonic seconds."""

    counters: Counters

    def set_peer(self, config: PeerConfig, now: float) -> None:
        """Add a peer or change one. Flows are judged anew when prefixes moved."""

    def remove_peer(self, public_key: bytes) -> None:
        """Forget a peer, its sessions and its flows."""

    def install_rules(
        self, rules: Sequence[FilterRule], local: IpSet, deputy: Deputy | None = None
    ) -> None:
        """Swap the filter atomically; live flows are judged anew within a second.

        `deputy` is what this node enforces for peers that enforce nothing.

        Raises MalformedRuleError; the last good filter stays.
        """

    def remove_filter(self) -> None:
        """Let everything pass: plain WireGuard."""

    def from_network(self, burst: memoryview, segment: int, path: Path, now: float) -> None:
        """Take datagrams of `segment` bytes, the last perhaps shorter; the burst is overwritten."""

    def from_host(self, now: float) -> bool:
        """Send what the TUN device has, up to a budget; True when there may be more."""

    def deadline(self) -> float | None:
        """Return when to call `on_deadline`; -inf for at once."""

    def on_deadline(self, now: float) -> None:
        """Run timers, sweep flows, send what waits."""
