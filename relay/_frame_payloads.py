"""From the payload of a DERP frame to what it says (relay reference 1.6).

Every limit on a payload is checked here, and nowhere else: what `decode` returns is well formed.
"""

from __future__ import annotations

import struct
from ipaddress import IPv6Address, ip_address
from typing import TYPE_CHECKING

from relay._frame_types import (
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
    ClientInfoFrame,
    ClosePeer,
    ForwardPacket,
    Frame,
    FrameType,
    Health,
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

__all__ = ["decode"]


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
