"""What the frames of DERP are: numbers, limits, and one type a frame (relay reference 1.6)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from ipaddress import IPv4Address, IPv6Address

__all__ = [
    "DISCO_MAGIC",
    "DISCO_MIN_BYTES",
    "HEADER",
    "HEADER_BYTES",
    "KEY_BYTES",
    "MAGIC",
    "MAX_CLIENT_INFO_BYTES",
    "MAX_FRAME_BYTES",
    "MAX_PACKET_BYTES",
    "MAX_PING_BYTES",
    "MAX_SERVER_KEY_BYTES",
    "MIN_CLIENT_INFO_BYTES",
    "NONCE_BYTES",
    "PING_BYTES",
    "PRESENT_BYTES",
    "PROTOCOL_VERSION",
    "ClientInfoFrame",
    "ClosePeer",
    "ForwardPacket",
    "Frame",
    "FrameType",
    "Health",
    "IpAddress",
    "KeepAlive",
    "NotePreferred",
    "PeerGone",
    "PeerGoneReason",
    "PeerPresent",
    "Ping",
    "Pong",
    "PresenceFlag",
    "RecvPacket",
    "Restarting",
    "SendPacket",
    "ServerInfoFrame",
    "ServerKey",
    "WatchConns",
]

MAGIC = b"DERP\xf0\x9f\x94\x91"
"""Opens the ServerKey frame; a client that sees anything else is not talking to a relay."""

DISCO_MAGIC = b"TS\xf0\x9f\x92\xac"
"""First six bytes of a sealed path-discovery packet, the one thing a relay may tell apart."""

DISCO_MIN_BYTES = 62
PROTOCOL_VERSION = 2
HEADER = struct.Struct(">BI")
HEADER_BYTES = 5
KEY_BYTES = 32
NONCE_BYTES = 24
MAX_PACKET_BYTES = 65_536
MAX_FRAME_BYTES = 1 << 20
"""What a client accepts as announced length (relay reference 1.6)."""
MAX_CLIENT_INFO_BYTES = 262_144
MIN_CLIENT_INFO_BYTES = KEY_BYTES + NONCE_BYTES
MAX_SERVER_KEY_BYTES = 1024
MAX_PING_BYTES = 1000
PING_BYTES = 8
PRESENT_BYTES = KEY_BYTES + 16 + 2

IpAddress = IPv4Address | IPv6Address


class FrameType(IntEnum):
    """The first byte of a frame."""

    SERVER_KEY = 0x01
    CLIENT_INFO = 0x02
    SERVER_INFO = 0x03
    SEND_PACKET = 0x04
    RECV_PACKET = 0x05
    KEEP_ALIVE = 0x06
    NOTE_PREFERRED = 0x07
    PEER_GONE = 0x08
    PEER_PRESENT = 0x09
    FORWARD_PACKET = 0x0A
    WATCH_CONNS = 0x10
    CLOSE_PEER = 0x11
    PING = 0x12
    PONG = 0x13
    HEALTH = 0x14
    RESTARTING = 0x15


class PeerGoneReason(IntEnum):
    """Why a peer cannot be reached through this relay."""

    DISCONNECTED = 0x00
    NOT_HERE = 0x01
    MESH_BROKE = 0xF0
    """Internal to a mesh client, for peers behind a link that died; never on the wire."""


class PresenceFlag(IntFlag):
    """What a watcher is told about a connection; zero comes from servers that do not say."""

    NONE = 0
    REGULAR = 0x01
    MESH_PEER = 0x02
    PROBER = 0x04
    NOT_IDEAL = 0x08


@dataclass(frozen=True, slots=True)
class ServerKey:
    """First frame of a server: who it is. Later versions may append bytes, which are ignored."""

    key: bytes


@dataclass(frozen=True, slots=True)
class ClientInfoFrame:
    """First frame of a client: its node key, then `relay.handshake.ClientInfo` sealed."""

    key: bytes
    sealed: bytes
    """24-byte nonce followed by the box."""


@dataclass(frozen=True, slots=True)
class ServerInfoFrame:
    """The server's answer: `relay.handshake.ServerInfo` sealed, nonce first."""

    sealed: bytes


@dataclass(frozen=True, slots=True)
class SendPacket:
    """A client asks that `packet` reach the client whose key is `destination`."""

    destination: bytes
    packet: bytes


@dataclass(frozen=True, slots=True)
class RecvPacket:
    """A packet for this client; `source` is the key its sender proved at connect time."""

    source: bytes
    packet: bytes


@dataclass(frozen=True, slots=True)
class KeepAlive:
    """Nothing but a sign of life from the server."""


@dataclass(frozen=True, slots=True)
class NotePreferred:
    """Whether this relay is the client's home; for statistics."""

    is_home: bool


@dataclass(frozen=True, slots=True)
class PeerGone:
    """`peer` left the region, or was never here."""

    peer: bytes
    reason: PeerGoneReason = PeerGoneReason.DISCONNECTED


@dataclass(frozen=True, slots=True)
class PeerPresent:
    """`peer` is connected; told to watchers only. Old servers leave out source and flags."""

    peer: bytes
    address: IpAddress | None = None
    port: int = 0
    flags: PresenceFlag = PresenceFlag.NONE


@dataclass(frozen=True, slots=True)
class ForwardPacket:
    """A mesh peer hands over a packet for a client that is local to the receiver."""

    source: bytes
    destination: bytes
    packet: bytes


@dataclass(frozen=True, slots=True)
class WatchConns:
    """A mesh peer subscribes to who is connected."""


@dataclass(frozen=True, slots=True)
class ClosePeer:
    """A mesh peer asks that the connections of `peer` be closed."""

    peer: bytes


@dataclass(frozen=True, slots=True)
class Ping:
    """Eight bytes that the other side must send back."""

    payload: bytes


@dataclass(frozen=True, slots=True)
class Pong:
    """The eight bytes of a ping."""

    payload: bytes


@dataclass(frozen=True, slots=True)
class Health:
    """What ails the server's view of this client; empty text means well again."""

    problem: str


@dataclass(frozen=True, slots=True)
class Restarting:
    """The server goes away: wait `reconnect_in_ms`, then keep trying for `try_for_ms`."""

    reconnect_in_ms: int
    try_for_ms: int


Frame = (
    ServerKey
    | ClientInfoFrame
    | ServerInfoFrame
    | SendPacket
    | RecvPacket
    | KeepAlive
    | NotePreferred
    | PeerGone
    | PeerPresent
    | ForwardPacket
    | WatchConns
    | ClosePeer
    | Ping
    | Pong
    | Health
    | Restarting
)
