"""Forwarding in runs: the one hot path of a relay.

A SendPacket becomes a RecvPacket of the same length by changing its type byte and its key.
Consecutive packets for one peer are therefore rewritten where they lie and handed on as a single
slice, so the cost of a batch is one look-up and one write, not one of each per frame.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from relay.errors import Fault, RemoteFaultError
from relay.frames import (
    DISCO_MAGIC,
    DISCO_MIN_BYTES,
    HEADER,
    HEADER_BYTES,
    KEY_BYTES,
    MAX_PACKET_BYTES,
    FrameType,
)

if TYPE_CHECKING:
    from relay.router import Connection, Router

__all__ = ["forward_from", "header_at"]


def header_at(stream: bytearray, at: int) -> tuple[int, int]:
    """Return the type and the announced length of the frame that starts at `at`."""
    kind, length = HEADER.unpack_from(stream, at)
    return kind, length


def forward_from(
    stream: bytearray, start: int, connection: Connection, router: Router, now: float
) -> int:
    """Forward the SendPackets for one peer that start at `start`; return where they end.

    `stream` is changed in place and must not be written to afterwards. Returns `start` while the
    first frame is incomplete. Raises RemoteFaultError(BAD_LENGTH).
    """
    key_at = start + HEADER_BYTES
    destination = bytes(stream[key_at : key_at + KEY_BYTES])
    target = router.find(destination)
    if target is None or not target.outbox.can_stream:
        return _forward_one(stream, start, connection, router, now)
    stop, packets, disco = _rewrite_run(stream, start, destination, connection.key)
    if packets:
        connection.hearers.add(destination)
        router.counters.packets_received += packets
        router.counters.packets_received_disco += disco
        target.outbox.stream(memoryview(stream)[start:stop], packets)
    return stop


def _rewrite_run(
    stream: bytearray, start: int, destination: bytes, source: bytes
) -> tuple[int, int, int]:
    """Rewrite frames while they are whole and for `destination`; return end, packets, disco."""
    # Local names and no calls of our own: this loop runs once a packet.
    unpack, starts = HEADER.unpack_from, stream.startswith
    send, receive = FrameType.SEND_PACKET.value, FrameType.RECV_PACKET.value
    at, end, packets, disco = start, len(stream), 0, 0
    while end - at >= HEADER_BYTES:
        kind, length = unpack(stream, at)
        if kind != send:
            break
        if not KEY_BYTES <= length <= KEY_BYTES + MAX_PACKET_BYTES:
            # What came before is whole and goes out; the next look finds this frame first.
            if packets:
                break
            raise _bad_length(length)
        key_at = at + HEADER_BYTES
        stop = key_at + length
        if stop > end or not starts(destination, key_at):
            break
        packet_at = key_at + KEY_BYTES
        if length >= KEY_BYTES + DISCO_MIN_BYTES and starts(DISCO_MAGIC, packet_at):
            disco += 1
        stream[at] = receive
        stream[key_at:packet_at] = source
        packets += 1
        at = stop
    return at, packets, disco


def _forward_one(
    stream: bytearray, start: int, connection: Connection, router: Router, now: float
) -> int:
    _kind, length = header_at(stream, start)
    if not KEY_BYTES <= length <= KEY_BYTES + MAX_PACKET_BYTES:
        raise _bad_length(length)
    key_at = start + HEADER_BYTES
    stop = key_at + length
    if stop > len(stream):
        return start
    packet_at = key_at + KEY_BYTES
    packet = bytes(stream[packet_at:stop])
    router.counters.packets_received += 1
    if packet.startswith(DISCO_MAGIC):
        router.counters.packets_received_disco += 1
    router.deliver(connection, bytes(stream[key_at:packet_at]), packet, now)
    return stop


def _bad_length(length: int) -> RemoteFaultError:
    return RemoteFaultError(Fault.BAD_LENGTH, f"SendPacket of {length} bytes")
