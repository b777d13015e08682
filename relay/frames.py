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
from ipaddress import IPv6Address, ip_address
from typing import TYPE_CHECKING

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
    MAX_PING_BYTES,
    MAX_SERVER_KEY_BYTES,
    MIN_CLIENT_INFO_BYTES,
    NONCE_BYTES,
    PING_BYTES,
    PRESENT_BYTES,
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

if TYPE_CHECKING:
    from collections.abc import Callable

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
    "pack_frame",
]


def is_disco(packet: bytes) -> bool:
    """Whether a packet looks like sealed path discovery (magic and minimum length)."""
    return len(packet) >= DISCO_MIN_BYTES and packet.startswith(DISCO_MAGIC)


def pack_frame(kind: int, *parts: bytes) -> bytes:
    """Put the five header bytes in front of a payload given in parts."""
    return b"".join((HEADER.pack(kind, sum(map(len, parts))), *parts))


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


def decode(kind: int, payload: bytes) -> Frame | None:
    """Return the frame that a type byte and a whole payload stand for, None for unknown types.

    Raises RemoteFaultError when the payload does not fit the type.
    """
    decoder = _DECODERS.get(kind)
    return None if decoder is None else decoder(payload)


def _need(payload: bytes, least: int, most: int, name: str) -> bytes:
    if not least <= len(payload) <= most:
        raise RemoteFaultError(
            Fault.BAD_LENGTH, f"{name} of {len(payload)} bytes, expected {least} to {most}"
        )
    return payload


def _server_key(payload: bytes) -> ServerKey:
    _need(payload, len(MAGIC) + KEY_BYTES, MAX_SERVER_KEY_BYTES, "ServerKey")
    if not payload.startswith(MAGIC):
        raise RemoteFaultError(Fault.BAD_MAGIC, "first frame does not name a DERP server")
    return ServerKey(payload[len(MAGIC) : len(MAGIC) + KEY_BYTES])


def _client_info(payload: bytes) -> ClientInfoFrame:
    _need(payload, MIN_CLIENT_INFO_BYTES, MAX_CLIENT_INFO_BYTES, "ClientInfo")
    return ClientInfoFrame(payload[:KEY_BYTES], payload[KEY_BYTES:])


def _server_info(payload: bytes) -> ServerInfoFrame:
    return ServerInfoFrame(_need(payload, NONCE_BYTES, MAX_FRAME_BYTES, "ServerInfo"))


def _send_packet(payload: bytes) -> SendPacket:
    _need(payload, KEY_BYTES, KEY_BYTES + MAX_PACKET_BYTES, "SendPacket")
    return SendPacket(payload[:KEY_BYTES], payload[KEY_BYTES:])


def _recv_packet(payload: bytes) -> RecvPacket:
    _need(payload, KEY_BYTES, KEY_BYTES + MAX_PACKET_BYTES, "RecvPacket")
    return RecvPacket(payload[:KEY_BYTES], payload[KEY_BYTES:])


def _keep_alive(_payload: bytes) -> KeepAlive:
    return KeepAlive()


def _note_preferred(payload: bytes) -> NotePreferred:
    return NotePreferred(_need(payload, 1, 1, "NotePreferred") != b"\0")


def _peer_gone(payload: bytes) -> PeerGone:
    _need(payload, KEY_BYTES, MAX_FRAME_BYTES, "PeerGone")
    code = payload[KEY_BYTES] if len(payload) > KEY_BYTES else 0
    # A reason from the future still says that the peer is gone, which is what matters.
    known = code in PeerGoneReason.__members__.values()
    reason = PeerGoneReason(code) if known else PeerGoneReason.DISCONNECTED
    return PeerGone(payload[:KEY_BYTES], reason)


def _peer_present(payload: bytes) -> PeerPresent:
    _need(payload, KEY_BYTES, MAX_FRAME_BYTES, "PeerPresent")
    peer = payload[:KEY_BYTES]
    if len(payload) < PRESENT_BYTES:
        return PeerPresent(peer)
    packed = IPv6Address(payload[KEY_BYTES : KEY_BYTES + 16])
    flags = payload[PRESENT_BYTES] if len(payload) > PRESENT_BYTES else 0
    return PeerPresent(
        peer,
        ip_address(packed.ipv4_mapped or packed),
        int.from_bytes(payload[KEY_BYTES + 16 : PRESENT_BYTES], "big"),
        PresenceFlag(flags & 0x0F),
    )


def _forward_packet(payload: bytes) -> ForwardPacket:
    _need(payload, 2 * KEY_BYTES, 2 * KEY_BYTES + MAX_PACKET_BYTES, "ForwardPacket")
    return ForwardPacket(
        payload[:KEY_BYTES], payload[KEY_BYTES : 2 * KEY_BYTES], payload[2 * KEY_BYTES :]
    )


def _watch_conns(payload: bytes) -> WatchConns:
    _need(payload, 0, 0, "WatchConns")
    return WatchConns()


def _close_peer(payload: bytes) -> ClosePeer:
    return ClosePeer(_need(payload, KEY_BYTES, KEY_BYTES, "ClosePeer"))


def _ping(payload: bytes) -> Ping:
    return Ping(_need(payload, PING_BYTES, MAX_PING_BYTES, "Ping")[:PING_BYTES])


def _pong(payload: bytes) -> Pong:
    return Pong(_need(payload, PING_BYTES, MAX_PING_BYTES, "Pong")[:PING_BYTES])


def _health(payload: bytes) -> Health:
    return Health(payload.decode("utf-8", "replace"))


def _restarting(payload: bytes) -> Restarting:
    _need(payload, 8, MAX_FRAME_BYTES, "Restarting")
    return Restarting(*struct.unpack_from(">II", payload))


_DECODERS: dict[int, Callable[[bytes], Frame]] = {
    FrameType.SERVER_KEY: _server_key,
    FrameType.CLIENT_INFO: _client_info,
    FrameType.SERVER_INFO: _server_info,
    FrameType.SEND_PACKET: _send_packet,
    FrameType.RECV_PACKET: _recv_packet,
    FrameType.KEEP_ALIVE: _keep_alive,
    FrameType.NOTE_PREFERRED: _note_preferred,
    FrameType.PEER_GONE: _peer_gone,
    FrameType.PEER_PRESENT: _peer_present,
    FrameType.FORWARD_PACKET: _forward_packet,
    FrameType.WATCH_CONNS: _watch_conns,
    FrameType.CLOSE_PEER: _close_peer,
    FrameType.PING: _ping,
    FrameType.PONG: _pong,
    FrameType.HEALTH: _health,
    FrameType.RESTARTING: _restarting,
}


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
