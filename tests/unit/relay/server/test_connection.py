"""Writing past the transport: what the kernel takes, and what is left."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

import pytest

from relay.server.connection import write_now

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        theirs.setblocking(False)
        yield ours, theirs


def test_all_chunks_leave_in_one_go(ends: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = ends
    buffer = bytearray(b"..run..")
    assert write_now(ours.fileno(), [b"head", memoryview(buffer)[2:5], bytearray(b"tail")]) == []
    assert theirs.recv(100) == b"headruntail"


def test_what_does_not_fit_is_left_from_the_middle_of_a_chunk_on(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    ours, theirs = ends
    chunks = [os.urandom(100_001) for _ in range(20)]
    left = b"".join(write_now(ours.fileno(), list(chunks)))
    assert 0 < len(left) < 20 * 100_001
    came = b""
    while len(came) + len(left) < 20 * 100_001:
        came += theirs.recv(1 << 20)
    assert came + left == b"".join(chunks)


def test_more_chunks_than_one_call_takes_are_not_lost(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    ours, theirs = ends
    chunks = [number.to_bytes(2, "big") for number in range(1500)]
    left = b"".join(write_now(ours.fileno(), list(chunks)))
    assert theirs.recv(1 << 16) + left == b"".join(chunks)
    assert len(left) == 2 * (1500 - 1024)


def test_broken_socket_leaves_everything_to_the_transport(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    ours, theirs = ends
    theirs.close()
    assert write_now(ours.fileno(), [b"x"]) == [b"x"]
    assert write_now(-1, [b"x"]) == [b"x"]
