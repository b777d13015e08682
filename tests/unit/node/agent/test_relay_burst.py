"""What came by relay is laid out as a socket's burst would be."""

from __future__ import annotations

import pytest

from node.agent.relay_burst import RelayBurst
from node.agent.ways import RelayWay

KEY, OTHER = b"k" * 32, b"o" * 32


@pytest.fixture
def buffer() -> memoryview:
    return memoryview(bytearray(12))


def test_equal_datagrams_and_a_shorter_last_one_are_one_burst(buffer: memoryview) -> None:
    burst = RelayBurst(buffer)
    assert all(burst.add(KEY, 1, data) for data in (b"aaaa", b"bbbb", b"cc"))
    assert (burst.way, burst.size, burst.segment) == (RelayWay(KEY, 1), 10, 4)
    assert bytes(buffer[:10]) == b"aaaabbbbcc"


@pytest.mark.parametrize(
    ("first", "then"),
    [
        pytest.param([b"aaaa"], (KEY, 1, b"bbbbb"), id="longer"),
        pytest.param([b"aaaa", b"b"], (KEY, 1, b"c"), id="behind the last"),
        pytest.param([b"aaaaaa", b"bbbbbb"], (KEY, 1, b"c"), id="full"),
        pytest.param([b"aaaa"], (OTHER, 1, b"bbbb"), id="another peer"),
        pytest.param([b"aaaa"], (KEY, 2, b"bbbb"), id="another relay"),
    ],
)
def test_what_does_not_fit_waits_for_the_next(
    buffer: memoryview, first: list[bytes], then: tuple[bytes, int, bytes]
) -> None:
    burst = RelayBurst(buffer)
    assert all(burst.add(KEY, 1, data) for data in first)
    before = (burst.size, buffer.tobytes())
    assert not burst.add(*then)
    assert (burst.size, buffer.tobytes()) == before
    burst.clear()
    assert burst.add(*then)
    assert (burst.way, burst.size) == (RelayWay(*then[:2]), len(then[2]))


@pytest.mark.parametrize("datagram", [b"", bytes(13)])
def test_what_is_no_message_is_left_out(buffer: memoryview, datagram: bytes) -> None:
    burst = RelayBurst(buffer)
    assert burst.add(KEY, 1, datagram)
    assert burst.way is None
