"""Runs: where they end, and what they cost when somebody makes them end late."""

from __future__ import annotations

import pytest

from relay import fastpath, frames
from relay.errors import RemoteFaultError
from tests.support.relay_pair import Lab

KEY = b"\x21" * 32


def stream_of(*destinations: bytes, packet: bytes = b"") -> bytearray:
    sends = (frames.encode(frames.SendPacket(key, packet)) for key in destinations)
    return bytearray(b"".join(sends))


def test_frames_that_differ_in_the_last_key_byte_end_the_run() -> None:
    lab = Lab()
    sender, receiver = lab.join(), lab.join()
    near = receiver.key[:-1] + bytes((receiver.key[-1] ^ 1,))
    stream = stream_of(*[receiver.key] * 9, near, receiver.key)
    connection = sender.server.connection
    assert connection is not None
    stop = fastpath.forward_from(stream, 0, connection, lab.router, lab.now)
    assert stop == 9 * 37


def test_look_ahead_is_bounded_by_what_is_forwarded(monkeypatch: pytest.MonkeyPatch) -> None:
    # Alternating keys that differ in their last byte once made every frame look at all others.
    looked_at = 0
    original = fastpath._count_alike_of

    def counting(stream: bytearray, start: int, stride: int, count: int, head: bytes) -> int:
        nonlocal looked_at
        looked_at += count
        return original(stream, start, stride, count, head)

    monkeypatch.setattr(fastpath, "_count_alike_of", counting)
    lab = Lab()
    sender, receiver = lab.join(), lab.join()
    near = receiver.key[:-1] + bytes((receiver.key[-1] ^ 1,))
    sender.server.receive(bytes(stream_of(*[receiver.key, receiver.key, near] * 1000)), lab.now)
    assert lab.router.counters.packets_received == 3000
    assert looked_at <= 8 * 3000


def test_bad_length_after_good_frames_lets_the_good_ones_out() -> None:
    lab = Lab()
    sender, receiver = lab.join(), lab.join()
    bad = b"\x04\0\0\0\x1f" + bytes(31)
    sender.server.receive(bytes(stream_of(receiver.key, receiver.key)) + bad, lab.now)
    assert sender.server.is_closed
    lab.settle()
    assert len(receiver.packets) == 2


def test_bad_length_first_is_a_fault() -> None:
    lab = Lab()
    sender, receiver = lab.join(), lab.join()
    connection = sender.server.connection
    assert connection is not None
    stream = stream_of(receiver.key)
    stream[4] = 31
    with pytest.raises(RemoteFaultError):
        fastpath.forward_from(stream, 0, connection, lab.router, lab.now)
