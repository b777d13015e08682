"""Frame codec against the recorded vectors and its own edges."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

import pytest

from relay import frames
from relay.errors import Fault, RemoteFaultError
from tests.support.vectors import load

VECTORS = load("relay", "derp")
FRAMES = {case["name"]: bytes.fromhex(case["bytes"]) for case in VECTORS["frames"]}
A, B = (bytes.fromhex(VECTORS[f"node_{name}_public"]) for name in "ab")
SERVER = bytes.fromhex(VECTORS["server_public"])
PACKET = bytes.fromhex(next(c for c in VECTORS["frames"] if c["name"] == "SendPacket")["payload"])

MEANINGS: dict[str, Any] = {
    "ServerKey": frames.ServerKey(SERVER),
    "SendPacket": frames.SendPacket(B, PACKET),
    "RecvPacket": frames.RecvPacket(A, PACKET),
    "KeepAlive": frames.KeepAlive(),
    "NotePreferred true": frames.NotePreferred(is_home=True),
    "NotePreferred false": frames.NotePreferred(is_home=False),
    "PeerGone disconnected": frames.PeerGone(B, frames.PeerGoneReason.DISCONNECTED),
    "PeerGone not here": frames.PeerGone(B, frames.PeerGoneReason.NOT_HERE),
    "PeerPresent v4 regular": frames.PeerPresent(
        B, ip_address("198.51.100.7"), 40001, frames.PresenceFlag.REGULAR
    ),
    "PeerPresent v6 mesh peer": frames.PeerPresent(
        B, ip_address("2001:db8::7"), 40001, frames.PresenceFlag.MESH_PEER
    ),
    "PeerPresent not ideal": frames.PeerPresent(
        B, ip_address("198.51.100.7"), 40001, frames.PresenceFlag.NOT_IDEAL
    ),
    "PeerPresent legacy key only": frames.PeerPresent(B),
    "ForwardPacket": frames.ForwardPacket(A, B, PACKET),
    "WatchConns": frames.WatchConns(),
    "ClosePeer": frames.ClosePeer(B),
    "Ping": frames.Ping(b"12345678"),
    "Pong": frames.Pong(b"12345678"),
    "Health problem": frames.Health("example problem text"),
    "Health clear": frames.Health(""),
    "Restarting 1s/10s": frames.Restarting(1000, 10_000),
}
ONLY_READ: dict[str, Any] = {
    "ServerKey with future bytes": frames.ServerKey(SERVER),
    "PeerGone legacy without reason (= disconnected)": frames.PeerGone(B),
}
SEALED = {name for name in FRAMES if name.startswith(("ClientInfo", "ServerInfo"))}


def split(wire: bytes) -> tuple[int, bytes]:
    return wire[0], wire[frames.HEADER_BYTES :]


def test_every_vector_is_looked_at() -> None:
    skipped = {"unknown type must be skipped"}
    assert set(FRAMES) == set(MEANINGS) | set(ONLY_READ) | SEALED | skipped


@pytest.mark.parametrize("name", MEANINGS)
def test_encodes_to_the_vector(name: str) -> None:
    assert frames.encode(MEANINGS[name]) == FRAMES[name]


@pytest.mark.parametrize("name", [*MEANINGS, *ONLY_READ])
def test_decodes_the_vector(name: str) -> None:
    assert frames.decode(*split(FRAMES[name])) == {**MEANINGS, **ONLY_READ}[name]


@pytest.mark.parametrize("name", sorted(SEALED))
def test_sealed_greetings_encode_back(name: str) -> None:
    frame = frames.decode(*split(FRAMES[name]))
    assert frame is not None
    assert frames.encode(frame) == FRAMES[name]


def test_unknown_type_has_no_meaning() -> None:
    assert frames.decode(*split(FRAMES["unknown type must be skipped"])) is None


@pytest.mark.parametrize(
    ("kind", "payload"),
    [
        (frames.FrameType.SERVER_KEY, frames.MAGIC + bytes(31)),
        (frames.FrameType.SERVER_KEY, frames.MAGIC + bytes(1017)),
        (frames.FrameType.CLIENT_INFO, bytes(55)),
        (frames.FrameType.SEND_PACKET, bytes(31)),
        (frames.FrameType.SEND_PACKET, bytes(32 + 65_537)),
        (frames.FrameType.RECV_PACKET, bytes(31)),
        (frames.FrameType.FORWARD_PACKET, bytes(63)),
        (frames.FrameType.NOTE_PREFERRED, b"\1\1"),
        (frames.FrameType.PEER_GONE, bytes(31)),
        (frames.FrameType.PEER_PRESENT, bytes(31)),
        (frames.FrameType.WATCH_CONNS, b"x"),
        (frames.FrameType.CLOSE_PEER, bytes(33)),
        (frames.FrameType.PING, b"1234"),
        (frames.FrameType.PING, bytes(1001)),
        (frames.FrameType.RESTARTING, bytes(7)),
    ],
)
def test_wrong_length_is_a_fault(kind: int, payload: bytes) -> None:
    with pytest.raises(RemoteFaultError) as caught:
        frames.decode(kind, payload)
    assert caught.value.fault is Fault.BAD_LENGTH


def test_server_key_needs_the_magic() -> None:
    with pytest.raises(RemoteFaultError) as caught:
        frames.decode(frames.FrameType.SERVER_KEY, bytes(40))
    assert caught.value.fault is Fault.BAD_MAGIC


def test_long_ping_is_echoed_by_its_first_eight_bytes() -> None:
    assert frames.decode(frames.FrameType.PING, b"12345678rest") == frames.Ping(b"12345678")


def test_reason_from_the_future_still_means_gone() -> None:
    assert frames.decode(frames.FrameType.PEER_GONE, B + b"\x77") == frames.PeerGone(B)


def test_decoder_refuses_a_length_above_its_limit_without_the_payload() -> None:
    decoder = frames.FrameDecoder(limit_bytes=100)
    with pytest.raises(RemoteFaultError) as caught:
        decoder.feed(b"\x05\0\0\0\x65")
    assert caught.value.fault is Fault.FRAME_TOO_LONG


def test_disco_needs_magic_and_length() -> None:
    assert frames.is_disco(frames.DISCO_MAGIC + bytes(56))
    assert not frames.is_disco(frames.DISCO_MAGIC + bytes(55))
    assert not frames.is_disco(bytes(62))
