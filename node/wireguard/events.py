"""What the machine tells its driver, and why it drops."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from node.wireguard.path import Path


@dataclass(frozen=True, slots=True)
class Datagram:
    """Bytes to send to a peer by a path."""

    data: bytes
    path: Path


@dataclass(frozen=True, slots=True)
class HandshakeCompleted:
    """Both sides hold new keys."""

    peer: bytes
    is_initiator: bool


@dataclass(frozen=True, slots=True)
class HandshakeAbandoned:
    """No answer within the attempt time; staged packets are gone."""

    peer: bytes


@dataclass(frozen=True, slots=True)
class PacketReceived:
    """An authenticated inner packet, trimmed, whose source belongs to the peer."""

    peer: bytes
    packet: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class PeerRoamed:
    """An authenticated datagram came from another address."""

    peer: bytes
    path: Path


Event = HandshakeCompleted | HandshakeAbandoned | PacketReceived | PeerRoamed


class Drop(Enum):
    """Why a datagram or packet was dropped without an answer."""

    NOT_WIREGUARD = "not_wireguard"
    BAD_MAC1 = "bad_mac1"
    HANDSHAKE_QUEUE_FULL = "handshake_queue_full"
    HANDSHAKE_RATE = "handshake_rate"
    HANDSHAKE_INVALID = "handshake_invalid"
    UNKNOWN_PEER = "unknown_peer"
    STALE_TIMESTAMP = "stale_timestamp"
    UNKNOWN_INDEX = "unknown_index"
    COOKIE_INVALID = "cookie_invalid"
    SESSION_EXPIRED = "session_expired"
    TAG_OR_REPLAY = "tag_or_replay"
    INNER_MALFORMED = "inner_malformed"
    INNER_SOURCE = "inner_source"
    NO_ROUTE = "no_route"
    NO_ENDPOINT = "no_endpoint"
    STAGE_FULL = "stage_full"
