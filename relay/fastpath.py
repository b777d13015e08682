"""Forwarding in runs: the one hot path of a relay.

A SendPacket becomes a RecvPacket of the same length by changing its type byte and its key.
Consecutive packets for one peer are therefore rewritten where they lie and handed on as a single
slice, so the cost of a batch is one look-up and one write, not one of each per frame.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

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

FEW = 4
"""Below this many equal frames, going through them is cheaper than laying an array over them."""

FIRST_LOOK = 32
"""How many frames the first look ahead covers."""

_HEAD_BYTES = HEADER_BYTES + KEY_BYTES
_HEAD = np.dtype(("V", _HEAD_BYTES))
_MAGIC = np.dtype(("V", len(DISCO_MAGIC)))
_RECEIVE = bytes((FrameType.RECV_PACKET,))


def header_at(stream: bytes | bytearray, at: int) -> tuple[int, int]:
    """Return the type and the announced length of the frame that starts at `at`."""
    kind, length = HEADER.unpack_from(stream, at)
    return kind, length


def forward_from(
    stream: bytearray, start: int, end: int, connection: Connection, router: Router, now: float
) -> int:
    """Forward the SendPackets for one peer that start at `start`; return where they stop.

    `stream` is changed in place, and what is handed on looks into it. Returns `start` while the
    first frame does not fit before `end`. Raises RemoteFaultError(BAD_LENGTH).
    """
    key_at = start + HEADER_BYTES
    length = header_at(stream, start)[1]
    if not KEY_BYTES <= length <= KEY_BYTES + MAX_PACKET_BYTES:
        raise RemoteFaultError(Fault.BAD_LENGTH, f"SendPacket of {length} bytes")
    if key_at + length > end:
        return start
    destination = bytes(stream[key_at : key_at + KEY_BYTES])
    target = router.find(destination)
    if target is None or not target.outbox.can_stream:
        packet = bytes(stream[key_at + KEY_BYTES : key_at + length])
        _forward_one(destination, packet, connection, router, now)
        return key_at + length
    stop, packets, disco = _rewrite_run(stream, start, end, destination, connection.key)
    connection.hearers.add(destination)
    router.counters.packets_received += packets
    router.counters.packets_received_disco += disco
    target.outbox.stream(memoryview(stream)[start:stop], packets)
    return stop


def _rewrite_run(
    stream: bytearray, start: int, end: int, destination: bytes, source: bytes
) -> tuple[int, int, int]:
    """Rewrite frames while they are whole and for `destination`; return end, packets, disco.

    Ends before a bad length, which is reported when it is the first to be looked at.
    """
    at, packets, disco = start, 0, 0
    while end - at >= _HEAD_BYTES and stream[at] == FrameType.SEND_PACKET:
        length = header_at(stream, at)[1]
        count = (end - at) // (HEADER_BYTES + length)
        if (
            not count
            or not KEY_BYTES <= length <= KEY_BYTES + MAX_PACKET_BYTES
            or not stream.startswith(destination, at + HEADER_BYTES)
        ):
            break
        at, count, secret = _rewrite_equal(stream, at, count, source)
        packets, disco = packets + count, disco + secret
    return at, packets, disco


def _rewrite_equal(
    stream: bytearray, start: int, count: int, source: bytes
) -> tuple[int, int, int]:
    """Rewrite the frames whose head equals that of the first; return end, packets, disco.

    `count` is how many frames of the first one's length there is room for. Bulk traffic comes in
    frames of one length: their heads are one array of a stride, compared and replaced at once.
    """
    head = bytes(stream[start : start + _HEAD_BYTES])
    stride = HEADER_BYTES + header_at(head, 0)[1]
    count = _count_alike(stream, start, stride, count, head)
    stop = start + count * stride
    replaced = _RECEIVE + head[1:HEADER_BYTES] + source
    if count < FEW:
        for at in range(start, stop, stride):
            stream[at : at + _HEAD_BYTES] = replaced
    else:
        _array(_HEAD, stream, start, count, stride)[:] = np.void(replaced)
    return stop, count, _count_disco(stream, start + _HEAD_BYTES, count, stride)


def _array(
    kind: np.dtype[np.void], stream: bytearray, start: int, count: int, stride: int
) -> np.ndarray[tuple[int], np.dtype[np.void]]:
    """Lay an array over `count` places of the stream, `stride` apart."""
    return np.ndarray((count,), kind, stream, start, (stride,))


def _count_alike(stream: bytearray, start: int, stride: int, count: int, head: bytes) -> int:
    """Return how many frames from `start` on, `stride` apart, begin with `head`.

    Looks eight times further each time it was right, so that frames chosen to differ late cost
    in proportion to what is forwarded, not to what is buffered.
    """
    alike = 1
    while alike < min(count, FEW):
        if not stream.startswith(head, start + alike * stride):
            return alike
        alike += 1
    while alike < count:
        more = min(count, max(FIRST_LOOK, alike * 8)) - alike
        heads = _array(_HEAD, stream, start + alike * stride, more, stride).tobytes()
        if heads != head * more:
            return alike + _equal_at_front(heads, head)
        alike += more
    return alike


def _equal_at_front(heads: bytes, head: bytes) -> int:
    """Return how many times `heads` repeats `head` before something else comes."""
    count = 0
    while heads.startswith(head, count * _HEAD_BYTES):
        count += 1
    return count


def _count_disco(stream: bytearray, packet_at: int, count: int, stride: int) -> int:
    """Return how many of the packets, `stride` apart, look like path discovery."""
    if stride < _HEAD_BYTES + DISCO_MIN_BYTES:
        return 0
    if count < FEW:
        stop = packet_at + count * stride
        return sum(stream.startswith(DISCO_MAGIC, at) for at in range(packet_at, stop, stride))
    starts = _array(_MAGIC, stream, packet_at, count, stride).tobytes()
    if DISCO_MAGIC not in starts:
        return 0
    size = len(DISCO_MAGIC)
    return sum(starts.startswith(DISCO_MAGIC, at) for at in range(0, len(starts), size))


def _forward_one(
    destination: bytes, packet: bytes, connection: Connection, router: Router, now: float
) -> None:
    router.counters.packets_received += 1
    if packet.startswith(DISCO_MAGIC):
        router.counters.packets_received_disco += 1
    router.deliver(connection, destination, packet, now)
