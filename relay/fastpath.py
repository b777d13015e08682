"""Forwarding in runs: the one hot path of a relay.

A SendPacket becomes a RecvPacket of the same length by changing its type byte and its key.
Consecutive packets for one peer are therefore rewritten where they lie and handed on as a single
slice, so the cost of a batch is one look-up and one write, not one of each per frame.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from relay._frame_types import (
    DISCO_MAGIC,
    DISCO_MIN_BYTES,
    HEADER,
    HEADER_BYTES,
    KEY_BYTES,
    MAX_PACKET_BYTES,
    FrameType,
)
from relay.errors import Fault, RemoteFaultError

if TYPE_CHECKING:
    from relay.router import Connection, Router

__all__ = ["forward_from", "header_at"]


FEW = 24
"""Below this many equal frames, going through frames is cheaper than through header bytes."""

_RECEIVE = bytes((FrameType.RECV_PACKET,))


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
    at, packets, disco = start, 0, 0
    while True:
        found = _rewrite_equal(stream, at, destination, source)
        if found is None:
            # The bad length is reported when it is the first to be looked at, not before.
            if packets:
                break
            raise _bad_length(header_at(stream, at)[1])
        stop, count, secret = found
        if not count:
            break
        at, packets, disco = stop, packets + count, disco + secret
    return at, packets, disco


def _rewrite_equal(
    stream: bytearray, start: int, destination: bytes, source: bytes
) -> tuple[int, int, int] | None:
    """Rewrite the frames that are as long as the first one; return end, packets, disco.

    Bulk traffic comes in frames of one length, so the same header byte of all of them is one
    extended slice: the loop runs over 37 header bytes, not over packets. Returns None if the
    first frame's length is not allowed.
    """
    if len(stream) - start < HEADER_BYTES or stream[start] != FrameType.SEND_PACKET:
        return start, 0, 0
    length = header_at(stream, start)[1]
    if not KEY_BYTES <= length <= KEY_BYTES + MAX_PACKET_BYTES:
        return None
    stride = HEADER_BYTES + length
    packet_at = start + HEADER_BYTES + KEY_BYTES
    if not stream.startswith(destination, start + HEADER_BYTES):
        return start, 0, 0
    head = bytes(stream[start:packet_at])
    count = (len(stream) - start) // stride
    if count > 1:
        count = _count_alike(stream, start, stride, count, head)
    stop = start + count * stride
    if count >= FEW:
        stream[start:stop:stride] = _RECEIVE * count
        for offset in range(KEY_BYTES):
            first = start + HEADER_BYTES + offset
            stream[first:stop:stride] = source[offset : offset + 1] * count
    else:
        for at in range(start, stop, stride):
            stream[at] = _RECEIVE[0]
            stream[at + HEADER_BYTES : at + HEADER_BYTES + KEY_BYTES] = source
    return stop, count, _count_disco(stream, packet_at, stop, stride)


def _count_alike(stream: bytearray, start: int, stride: int, count: int, head: bytes) -> int:
    """Return how many frames from `start` on, `stride` apart, begin with `head`.

    Looks eight times further each time it was right, so that frames chosen to differ late cost
    in proportion to what is forwarded, not to what is buffered.
    """
    alike = 1
    while alike < min(count, FEW) and stream.startswith(head, start + alike * stride):
        alike += 1
    if alike < FEW:
        return alike
    while alike < count:
        limit = min(count, alike * 8)
        alike = _count_alike_of(stream, start, stride, limit, head)
        if alike < limit:
            break
    return alike


def _count_alike_of(stream: bytearray, start: int, stride: int, count: int, head: bytes) -> int:
    for offset in range(len(head)):
        column = stream[start + offset : start + count * stride : stride]
        count -= len(column.lstrip(head[offset : offset + 1]))
    return count


def _count_disco(stream: bytearray, packet_at: int, stop: int, stride: int) -> int:
    """Return how many of the packets, `stride` apart, look like path discovery."""
    if stride < HEADER_BYTES + KEY_BYTES + DISCO_MIN_BYTES:
        return 0
    if DISCO_MAGIC[0] not in stream[packet_at:stop:stride]:
        return 0
    return sum(stream.startswith(DISCO_MAGIC, at) for at in range(packet_at, stop, stride))


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
