"""Runs: where they end, and what they cost when somebody makes them end late."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
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
    stop = fastpath.forward_from(stream, 0, len(stream), connection, lab.router, lab.now)
    assert stop == 9 * 37


@pytest.mark.parametrize("alike", [1, 2, 3, 5, 31, 33])
def test_look_ahead_is_bounded_by_what_is_forwarded(
    alike: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Alternating keys that differ in their last byte once made every frame look at all others.
    looked_at = 0

    def counting(shape: tuple[int], *rest: Any) -> Any:
        nonlocal looked_at
        looked_at += shape[0]
        return np.ndarray(shape, *rest)

    monkeypatch.setattr(fastpath, "np", SimpleNamespace(ndarray=counting, void=np.void))
    lab = Lab()
    sender, receiver = lab.join(), lab.join()
    near = receiver.key[:-1] + bytes((receiver.key[-1] ^ 1,))
    keys = [*[receiver.key] * alike, near]
    sender.server.receive(bytes(stream_of(*keys * (6000 // len(keys)))), lab.now)
    total = 6000 // len(keys) * len(keys)
    assert lab.router.counters.packets_received == total
    # A run costs its first look, or eight times itself; and once more to be written.
    runs = 6000 // len(keys)
    assert looked_at <= runs * fastpath.FIRST_LOOK + 9 * total


def test_path_discovery_within_a_run_is_counted() -> None:
    lab = Lab()
    sender, receiver = lab.join(), lab.join()
    disco = frames.DISCO_MAGIC + bytes(60)
    near = disco[:1] + bytes(65)
    packets = [disco, near, near, disco, disco, disco, disco, b"x" * 66, disco]
    stream = b"".join(bytes(stream_of(receiver.key, packet=packet)) for packet in packets)
    sender.server.receive(stream, lab.now)
    assert lab.router.counters.packets_received_disco == 6
    lab.settle()
    assert [event.packet for event in receiver.packets] == packets


def test_runs_differ_in_length_and_stay_one_slice() -> None:
    lab = Lab()
    sender, receiver = lab.join(), lab.join()
    sizes = [3] * 10 + [70] * 2 + [8] * 5
    stream = b"".join(bytes(stream_of(receiver.key, packet=bytes(size))) for size in sizes)
    sender.server.receive(stream, lab.now)
    [run] = receiver.server.outbox.take()
    assert isinstance(run, memoryview)
    assert run.nbytes == len(stream)


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
        fastpath.forward_from(stream, 0, len(stream), connection, lab.router, lab.now)
