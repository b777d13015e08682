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

FIRST_LOOK = 64
"""How many frames the first look ahead covers."""

_HEAD_BYTES = HEADER_BYTES + KEY_BYTES
_HEAD = np.dtype(("V", _HEAD_BYTES))
_HEAD_AND_ONE = np.dtype(("V", _HEAD_BYTES + 1))
_FIRST_OF_MAGIC = DISCO_MAGIC[:1]
_RECEIVE = bytes((FrameType.RECV_PACKET,))
_SEND = int(FrameType.SEND_PACKET)
_LONGEST = KEY_BYTES + MAX_PACKET_BYTES


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

    Ends before a bad length, which is reported when it is the first to be looked at. Bulk traffic
    comes in frames of one length: their heads are one array of a stride, compared and replaced at
    once. The first byte of the packets counts as head: where it is not that of path discovery,
    none of them need be looked at.
    """
    at, packets, disco = start, 0, 0
    while end - at >= _HEAD_BYTES and stream[at] == _SEND:
        length = header_at(stream, at)[1]
        stride = HEADER_BYTES + length
        room = (end - at) // stride
        if (
            not room
            or not KEY_BYTES <= length <= _LONGEST
            or not stream.startswith(destination, at + HEADER_BYTES)
        ):
            break
        head = bytes(stream[at : at + (_HEAD_BYTES + 1 if length > KEY_BYTES else _HEAD_BYTES)])
        count = _count_alike(stream, at, stride, room, head)
        stop = at + count * stride
        if head.endswith(_FIRST_OF_MAGIC):
            disco += _count_disco(stream, at + _HEAD_BYTES, count, stride)
        replaced = _RECEIVE + head[1:HEADER_BYTES] + source
        if count < FEW:
            for place in range(at, stop, stride):
                stream[place : place + _HEAD_BYTES] = replaced
        else:
            np.ndarray((count,), _HEAD, stream, at, (stride,)).fill(np.void(replaced))
        at, packets = stop, packets + count
    return at, packets, disco


def _count_alike(stream: bytearray, start: int, stride: int, room: int, head: bytes) -> int:
    """Return how many of the `room` frames from `start` on, `stride` apart, begin with `head`.

    Looks eight times further each time it was right, so that frames chosen to differ late cost
    in proportion to what is forwarded, not to what is buffered.
    """
    if room == 1 or not stream.startswith(head, start + stride):
        return 1
    alike = 2
    kind = _HEAD if len(head) == _HEAD_BYTES else _HEAD_AND_ONE
    while alike < room:
        more = min(room, max(FIRST_LOOK, alike * 8)) - alike
        heads = np.ndarray((more,), kind, stream, start + alike * stride, (stride,)).tobytes()
        if heads != head * more:
            return alike + _repeats(heads, head)
        alike += more
    return alike


def _repeats(heads: bytes, head: bytes) -> int:
    """Return how many times `heads` begins with `head` before something else comes."""
    count = 0
    while heads.startswith(head, count * len(head)):
        count += 1
    return count


def _count_disco(stream: bytearray, packet_at: int, count: int, stride: int) -> int:
    """Return how many of the packets, `stride` apart, look like path discovery."""
    if stride < _HEAD_BYTES + DISCO_MIN_BYTES:
        return 0
    stop = packet_at + count * stride
    return sum(stream.startswith(DISCO_MAGIC, at) for at in range(packet_at, stop, stride))


def _forward_one(
    destination: bytes, packet: bytes, connection: Connection, router: Router, now: float
) -> None:
    router.counters.packets_received += 1
    if packet.startswith(DISCO_MAGIC):
        router.counters.packets_received_disco += 1
    router.deliver(connection, destination, packet, now)
