"""Super-packets from the kernel: which can be split, and which together."""

from __future__ import annotations

from typing import Any

import pytest

from node.datapath.superpacket import are_alike, inspect, may_stack
from node.datapath.virtio import VirtioHeader
from tests.support.super_packets import V6, in_a_row, super_tcp


@pytest.mark.parametrize(
    "change",
    [
        {"gso_size": 0},
        {"gso_type": 4},
        {"gso_type": 3},
        {"csum_start": 24},
        {"csum_start": 22},
        {"csum_start": 0},
        {"csum_offset": 6},
    ],
    ids=str,
)
def test_header_that_does_not_fit_is_refused(change: dict[str, int]) -> None:
    virtio, packet = super_tcp(3000, 1000)
    header = VirtioHeader.unpack_from(virtio)._replace(**change)
    assert inspect(memoryview(packet), header) is None


@pytest.mark.parametrize("length", [0, 1, 19, 20, 39, 51, 52])
def test_truncated_super_packet_is_refused(length: int) -> None:
    virtio, packet = super_tcp(3000, 1000)
    assert inspect(memoryview(packet)[:length], VirtioHeader.unpack_from(virtio)) is None


def test_ecn_bit_of_the_type_is_ignored() -> None:
    assert VirtioHeader.unpack_from(VirtioHeader(1, 0x81, 0, 9, 20, 16).pack()).gso_type == 1


@pytest.mark.parametrize("flags", [0x11, 0x14, 0x30, 0x50, 0x90, 0x00])
def test_what_flags_tell_of_one_segment_does_not_stack(flags: int) -> None:
    (source,) = in_a_row(1, 500, 3, flags=flags)
    assert not may_stack(source)


def test_only_whole_segments_and_more_than_one_stack() -> None:
    (source,) = in_a_row(1, 500, 3)
    assert may_stack(source)
    assert not may_stack(source._replace(last_bytes=source.last_bytes - 1))
    assert not may_stack(in_a_row(1, 500, 1)[0])
    assert not may_stack(source._replace(is_tcp=False))


@pytest.mark.parametrize(
    ("fields", "other"),
    [
        ({}, {"dst": "10.0.0.3"}),
        ({}, {"src": "10.0.0.3"}),
        ({}, {"sport": 1}),
        ({}, {"dport": 1}),
        ({}, {"ttl": 63}),
        ({}, {"tos": 4}),
        (V6, {**V6, "dst": "fd00::3"}),
        (V6, {**V6, "sport": 1}),
        (V6, {**V6, "ttl": 63}),
        (V6, {**V6, "tos": 4}),
        ({}, V6),
    ],
)
def test_super_packets_of_another_flow_or_kind_are_not_alike(
    fields: dict[str, Any], other: dict[str, Any]
) -> None:
    first, second = in_a_row(2, 500, 3, **fields)
    (stranger,) = in_a_row(1, 500, 3, **other)
    assert are_alike(first, second)
    assert not are_alike(first, stranger)
    assert not are_alike(first, in_a_row(1, 500, 4, **fields)[0])
