"""Captures that other tools can read."""

from __future__ import annotations

import io
import struct

from engine.evaluate import Reason
from node.datapath.capture import Capture


def blocks(data: bytes) -> list[tuple[int, bytes]]:
    """Take a pcapng file apart by the lengths at both ends of each block."""
    found, at = [], 0
    while at < len(data):
        kind, length = struct.unpack_from("<II", data, at)
        assert length % 4 == 0
        assert struct.unpack_from("<I", data, at + length - 4)[0] == length
        found.append((kind, data[at + 8 : at + length - 4]))
        at += length
    return found


def test_blocks_are_well_formed_and_say_why() -> None:
    file = io.BytesIO()
    capture = Capture(file, lambda: 5_000_000_001)
    capture.allowed(b"abcde", "in")
    capture.dropped(b"xyz", "out", Reason.NO_RULE)
    (first, _), (second, _), (_, allowed), (_, dropped) = blocks(file.getvalue())
    assert (first, second) == (0x0A0D0D0A, 1)
    assert struct.unpack_from("<IIIII", allowed) == (0, 1, 705_032_705, 5, 5)
    assert allowed[20:28] == b"abcde\0\0\0"
    assert b"dropped: no-rule" in dropped


def test_what_was_not_asked_for_is_left_out() -> None:
    file = io.BytesIO()
    capture = Capture(file, lambda: 0, keeps_allowed=False)
    capture.allowed(b"abcde", "in")
    assert len(blocks(file.getvalue())) == 2


def test_size_limit_holds() -> None:
    file = io.BytesIO()
    capture = Capture(file, lambda: 0, max_bytes=1000)
    for _ in range(100):
        capture.allowed(bytes(100), "in")
    assert len(file.getvalue()) <= 1000
    assert capture.missed > 0
