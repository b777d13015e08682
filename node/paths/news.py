"""What paths have to say: where packets go, what to send for it, and what happened."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from node.disco.messages import Birthday, CallMeMaybe, Ping, Pong
    from node.transport.endpoint import Endpoint

__all__ = [
    "BookEvent",
    "CallMeMaybeWanted",
    "EndpointsWanted",
    "Outgoing",
    "PathChanged",
    "PathEvent",
    "PathKind",
    "PathNews",
    "PingAnswered",
    "Route",
    "SparesWanted",
    "ToAddress",
    "ToRelay",
]


class PathKind(Enum):
    """How packets for the peer travel now."""

    RELAYED = "relayed"
    DIRECT = "direct"
    DOUBTED = "doubted"


@dataclass(frozen=True, slots=True)
class Route:
    """Where a batch of packets goes: to an address, by the relay, or both."""

    endpoint: Endpoint | None
    by_relay: bool


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A disco message to seal and send; without an endpoint it goes by the peer's relay."""

    message: Ping | Pong | CallMeMaybe | Birthday
    endpoint: Endpoint | None
    relay_region: int = 0
    """For an answer by relay: the region the question came through; 0 means the peer's home."""
    spare: int = 0
    """The number of the spare socket to send from; 0 is the main one."""


@dataclass(frozen=True, slots=True)
class PathChanged:
    """For the log and for `status`."""

    kind: PathKind
    endpoint: Endpoint | None
    latency_ns: int


@dataclass(frozen=True, slots=True)
class CallMeMaybeWanted:
    """The peer should be told our endpoints; fresh ones, so STUN may have to come first."""


@dataclass(frozen=True, slots=True)
class PingAnswered:
    """A ping that a user asked for came back."""

    endpoint: Endpoint | None
    """None when it came back by relay."""
    latency_ns: int


PathEvent = PathChanged | CallMeMaybeWanted | PingAnswered


@dataclass(frozen=True, slots=True)
class ToAddress:
    """A sealed packet for the UDP socket, or for a spare one by its number."""

    packet: bytes
    endpoint: Endpoint
    spare: int = 0


@dataclass(frozen=True, slots=True)
class ToRelay:
    """A sealed packet for a peer, by a relay region."""

    packet: bytes
    node_key: bytes
    region: int


@dataclass(frozen=True, slots=True)
class SparesWanted:
    """Which spare sockets may stay open; all others are closed at once."""

    opening: range
    """Numbers of those that send now or did, and wait for a guess."""
    bound: Mapping[Endpoint, int]
    """What goes to one of these addresses leaves from this spare socket, and no other."""


@dataclass(frozen=True, slots=True)
class PathNews:
    """Something happened on the way to a peer."""

    node_key: bytes
    event: PathEvent


@dataclass(frozen=True, slots=True)
class EndpointsWanted:
    """Our own endpoints are too old to be told: ask STUN, then `set_own_endpoints`."""


BookEvent = PathNews | EndpointsWanted
