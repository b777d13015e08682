"""DERP frames: byte layout, one type a frame, and an incremental decoder.

    0      1                5
    +------+----------------+-----------------+
    | type | length (u32 BE)| payload, length |
    +------+----------------+-----------------+

The length excludes the five header bytes. Node keys are 32 raw bytes throughout. Source: relay
reference 1.6. Nothing here knows of roles or states: which frame is welcome when is the business
of `relay.session_client` and `relay.session_server`.
"""

from __future__ import annotations

import struct

from relay._frame_payloads import decode
from relay._frame_types import (
    DISCO_MAGIC,
    DISCO_MIN_BYTES,
    HEADER,
    HEADER_BYTES,
    KEY_BYTES,
    MAGIC,
    MAX_CLIENT_INFO_BYTES,
    MAX_FRAME_BYTES,
    MAX_PACKET_BYTES,
    PROTOCOL_VERSION,
    ClientInfoFrame,
    ClosePeer,
    ForwardPacket,
    Frame,
    FrameType,
    Health,
    IpAddress,
    KeepAlive,
    NotePreferred,
    PeerGone,
    PeerGoneReason,
    PeerPresent,
    Ping,
    Pong,
    PresenceFlag,
    RecvPacket,
    Restarting,
    SendPacket,
    ServerInfoFrame,
    ServerKey,
    WatchConns,
)
from relay.errors import Fault, RemoteFaultError

__all__ = [
    "DISCO_MAGIC",
    "HEADER_BYTES",
    "KEY_BYTES",
    "MAGIC",
    "MAX_CLIENT_INFO_BYTES",
    "MAX_FRAME_BYTES",
    "MAX_PACKET_BYTES",
    "PROTOCOL_VERSION",
    "ClientInfoFrame",
    "ClosePeer",
    "ForwardPacket",
    "Frame",
    "FrameDecoder",
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
    "decode",
    "encode",
    "is_disco",
    "pack_burst",
    "pack_frame",
]


def is_disco(packet: bytes) -> bool:
    """Whether a packet looks like sealed path discovery (magic and minimum length)."""
    return len(packet) >= DISCO_MIN_BYTES and packet.startswith(DISCO_MAGIC)


def pack_frame(kind: int, *parts: bytes | memoryview) -> bytes:
    """Put the five header bytes in front of a payload given in parts."""
    return b"".join((HEADER.pack(kind, sum(map(len, parts))), *parts))


def pack_burst(destination: bytes, burst: bytes, segment: int) -> bytes:
    """Return SendPacket frames for packets of `segment` bytes, the last perhaps shorter."""
    view = memoryview(burst)
    head = HEADER.pack(FrameType.SEND_PACKET, len(destination) + segment) + destination
    parts: list[bytes | memoryview] = []
    whole = len(burst) - len(burst) % segment
    for at in range(0, whole, segment):
        parts += (head, view[at : at + segment])
    if whole < len(burst):
        parts.append(pack_frame(FrameType.SEND_PACKET, destination, view[whole:]))
    return b"".join(parts)


def encode(frame: Frame) -> bytes:
    """Return the wire form of a frame, header included."""
    match frame:
        case ServerKey(key):
            return pack_frame(FrameType.SERVER_KEY, MAGIC, key)
        case ClientInfoFrame(key, sealed):
            return pack_frame(FrameType.CLIENT_INFO, key, sealed)
        case ServerInfoFrame(sealed):
            return pack_frame(FrameType.SERVER_INFO, sealed)
        case SendPacket(destination, packet):
            return pack_frame(FrameType.SEND_PACKET, destination, packet)
        case RecvPacket(source, packet):
            return pack_frame(FrameType.RECV_PACKET, source, packet)
        case ForwardPacket(source, destination, packet):
            return pack_frame(FrameType.FORWARD_PACKET, source, destination, packet)
        case _:
            return _encode_signal(frame)


def _encode_signal(
    frame: KeepAlive
    | NotePreferred
    | PeerGone
    | PeerPresent
    | WatchConns
    | ClosePeer
    | Ping
    | Pong
    | Health
    | Restarting,
) -> bytes:
    match frame:
        case KeepAlive():
            return pack_frame(FrameType.KEEP_ALIVE)
        case NotePreferred(is_home):
            return pack_frame(FrameType.NOTE_PREFERRED, bytes((is_home,)))
        case PeerGone(peer, reason):
            return pack_frame(FrameType.PEER_GONE, peer, bytes((reason,)))
        case PeerPresent():
            return pack_frame(FrameType.PEER_PRESENT, _present_payload(frame))
        case WatchConns():
            return pack_frame(FrameType.WATCH_CONNS)
        case ClosePeer(peer):
            return pack_frame(FrameType.CLOSE_PEER, peer)
        case Ping(payload):
            return pack_frame(FrameType.PING, payload)
        case Pong(payload):
            return pack_frame(FrameType.PONG, payload)
        case Health(problem):
            return pack_frame(FrameType.HEALTH, problem.encode())
        case Restarting(reconnect_in_ms, try_for_ms):
            return pack_frame(FrameType.RESTARTING, struct.pack(">II", reconnect_in_ms, try_for_ms))


def _present_payload(frame: PeerPresent) -> bytes:
    if frame.address is None:
        return frame.peer
    address = frame.address
    packed = address.packed if address.version == 6 else b"\0" * 10 + b"\xff\xff" + address.packed
    return frame.peer + packed + struct.pack(">HB", frame.port, frame.flags)


class FrameDecoder:
    """Cuts a byte stream into (type, payload), however the stream was chunked.

    An announced length above `limit_bytes` is an error before anything of it is kept, so memory
    is bounded by the limit whatever the other side says.
    """

    __slots__ = ("_limit_bytes", "_pending")

    def __init__(self, limit_bytes: int = MAX_FRAME_BYTES) -> None:
        self._limit_bytes = limit_bytes
        self._pending = bytearray()

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """Return the frames that `data` completes, in order.

        Raises RemoteFaultError for an announced length above the limit.
        """
        frames: list[tuple[int, bytes]] = []
        if not self._pending:
            # The usual case: whole frames, read without copying the chunk first.
            self._pending += data[self._cut(data, frames) :]
            return frames
        self._pending += data
        del self._pending[: self._cut(self._pending, frames)]
        return frames

    def _cut(self, stream: bytes | bytearray, frames: list[tuple[int, bytes]]) -> int:
        at, end = 0, len(stream)
        while end - at >= HEADER_BYTES:
            kind, length = HEADER.unpack_from(stream, at)
            if length > self._limit_bytes:
                raise RemoteFaultError(
                    Fault.FRAME_TOO_LONG,
                    f"type {kind:#04x} announces {length} bytes, limit {self._limit_bytes}",
                )
            stop = at + HEADER_BYTES + length
            if stop > end:
                break
            frames.append((kind, bytes(stream[at + HEADER_BYTES : stop])))
            at = stop
        return at
