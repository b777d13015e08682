"""The short way to say that a burst is one run: when it says so, so does the long way."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.datapath.buffers import LEAD, TAG
from node.datapath.coalesce import Run, find_runs, shape_of
from node.datapath.train import Trains
from tests.support.packets import Tcp, udp_packet

MSS = 1001
COUNT = 6


def datagrams(packets: list[bytes], pad: int) -> tuple[bytearray, int]:
    """Return opened messages as rows of one buffer, with garbage where padding would be."""
    width = max(map(len, packets)) + pad
    rows = [b"H" * LEAD + packet.ljust(width, b"\xee") + b"T" * TAG for packet in packets]
    return bytearray(b"".join(rows)), width + LEAD + TAG


def is_train(packets: list[bytes], pad: int = 3) -> bool:
    buffer, segment = datagrams(packets, pad)
    shape = shape_of(memoryview(buffer)[LEAD : segment - TAG])
    if shape is None:
        return False
    return Trains(memoryview(buffer)).are_trains(segment, len(packets), 1, shape)


def is_one_run(packets: list[bytes], pad: int = 3) -> bool:
    buffer, segment = datagrams(packets, pad)
    rows = np.frombuffer(buffer, np.uint8).reshape(len(packets), segment)
    (run, *others) = find_runs(rows[:, LEAD:-TAG])
    return not others and run.count == len(packets) and run.shape is not None


def train(count: int = COUNT, **fields: Any) -> list[bytes]:
    return Tcp(payload=bytes(n % 251 for n in range(MSS * count)), **fields).train(MSS)


V6: dict[str, Any] = {"src": "fd00::1", "dst": "fd00::2"}


@pytest.mark.parametrize("addresses", [{}, V6], ids=["ipv4", "ipv6"])
@pytest.mark.parametrize("pad", [3, 4, 5, 16])
def test_contiguous_segments_are_a_train(addresses: dict[str, Any], pad: int) -> None:
    assert is_train(train(**addresses), pad)


def test_sequence_numbers_may_wrap() -> None:
    assert is_train(train(seq=0xFFFFFF00))


def test_psh_may_stand_on_the_last_alone() -> None:
    packets = train(flags=0x18)
    assert is_train(packets)
    assert not is_train([*packets, *train(seq=1000 + MSS * COUNT)])


def test_datagrams_of_one_flow_are_a_train() -> None:
    packets = [udp_packet("fd00::1", "fd00::2", 7, 9, bytes([n]) * 300) for n in range(4)]
    assert is_train(packets)


def test_row_too_narrow_for_whole_words_is_left_to_the_long_way() -> None:
    packets = train()
    assert not is_train(packets, 0)
    assert is_one_run(packets, 0)


def test_missing_segment_is_no_train() -> None:
    packets = train()
    assert not is_train(packets[:2] + packets[3:])


@given(
    row=st.integers(0, COUNT - 1),
    at=st.integers(0, 60),
    bit=st.integers(0, 7),
    ipv6=st.booleans(),
    ident=st.sampled_from((0, 1, 0x7FFF, 0xFFFA, 0xFFFB, 0xFFFF)),
)
def test_never_says_more_than_the_long_way(
    row: int, at: int, bit: int, ipv6: bool, ident: int
) -> None:
    packets = train(ident=ident, **(V6 if ipv6 else {}))
    if is_train(packets):
        assert is_one_run(packets)
    broken = bytearray(packets[row])
    broken[at] ^= 1 << bit
    packets[row] = bytes(broken)
    if is_train(packets):
        assert is_one_run(packets)


@given(row=st.integers(0, COUNT - 1), at=st.integers(0, MSS + 39), bit=st.integers(0, 7))
def test_any_flipped_bit_is_noticed(row: int, at: int, bit: int) -> None:
    packets = train()
    broken = bytearray(packets[row])
    broken[at] ^= 1 << bit
    packets[row] = bytes(broken)
    assert not is_train(packets)


def test_run_of_a_train_equals_the_long_ways() -> None:
    buffer, segment = datagrams(train(), 3)
    rows = np.frombuffer(buffer, np.uint8).reshape(COUNT, segment)[:, LEAD:-TAG]
    shape = shape_of(memoryview(buffer)[LEAD : segment - TAG])
    (run,) = find_runs(rows)
    assert run == Run(0, COUNT, shape, ends=run.ends)


def stacked(bursts: list[list[bytes]]) -> tuple[bytearray, int]:
    return datagrams([packet for burst in bursts for packet in burst], 3)


def are_trains(bursts: list[list[bytes]]) -> bool:
    buffer, segment = stacked(bursts)
    shape = shape_of(memoryview(buffer)[LEAD : segment - TAG])
    assert shape is not None
    return Trains(memoryview(buffer)).are_trains(segment, len(bursts[0]), len(bursts), shape)


def stream(bursts: int, **fields: Any) -> list[list[bytes]]:
    """Return bursts of one flow; each begins where it likes."""
    return [
        train(**{"seq": 9 + number * 77, "ident": 5 + number * 100, "ack": number} | fields)
        for number in range(bursts)
    ]


@pytest.mark.parametrize("fields", [{}, V6, {"flags": 0x18}], ids=["ipv4", "ipv6", "psh"])
@pytest.mark.parametrize("count", [2, 3, 4])
def test_bursts_of_one_flow_are_trains_and_join_as_each_alone(
    fields: dict[str, Any], count: int
) -> None:
    bursts = stream(count, **fields)
    assert are_trains(bursts)
    buffer, segment = stacked(bursts)
    shape = shape_of(memoryview(buffer)[LEAD : segment - TAG])
    assert shape is not None
    together = Trains(memoryview(buffer)).join_each(segment, COUNT, count, shape)
    for burst, joined in zip(bursts, together, strict=True):
        alone, _ = datagrams(burst, 3)
        has_psh = fields.get("flags") == 0x18
        want = Trains(memoryview(alone)).join(
            segment, COUNT, shape, memoryview(b""), has_psh=has_psh
        )
        assert joined.tobytes() == want.tobytes()


@pytest.mark.parametrize(
    ("fields", "other"),
    [
        ({}, {"dst": "10.0.0.3"}),
        ({}, {"sport": 1}),
        ({}, {"ttl": 63}),
        ({}, {"tos": 4}),
        ({}, {"options": bytes(12), "flags": 0x10}),
        (V6, {**V6, "dst": "fd00::3"}),
        (V6, {**V6, "sport": 1}),
        (V6, {**V6, "ttl": 63}),
    ],
)
def test_bursts_of_other_flows_or_headers_are_judged_apart(
    fields: dict[str, Any], other: dict[str, Any]
) -> None:
    bursts = [*stream(1, **fields), train(**other)]
    both = are_trains(bursts)
    # Other options alone are no other flow: what counts is that each burst is a run.
    assert both == ("options" in other)


@given(
    burst=st.integers(0, 2),
    row=st.integers(0, COUNT - 1),
    at=st.integers(0, MSS + 39),
    bit=st.integers(0, 7),
    ipv6=st.booleans(),
)
def test_any_flipped_bit_in_any_burst_is_noticed(
    burst: int, row: int, at: int, bit: int, ipv6: bool
) -> None:
    bursts = stream(3, **(V6 if ipv6 else {}))
    broken = bytearray(bursts[burst][row])
    broken[at] ^= 1 << bit
    bursts[burst][row] = bytes(broken)
    (first, segment) = stacked(bursts)
    shape = shape_of(memoryview(first)[LEAD : segment - TAG])
    assert shape is None or shape.length != MSS + shape.header_bytes or not are_trains(bursts)


def test_identifications_that_wrap_are_no_trains() -> None:
    assert not are_trains([train(), train(ident=0xFFFE)])
