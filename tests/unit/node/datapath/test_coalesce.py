"""Packets of a burst into groups: what joins and what must not."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from node.datapath.coalesce import Run, find_runs, joins, write_super_header
from tests.support.packets import Tcp, ip_packet, udp_packet

CASES: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[3] / "golden" / "datapath" / "tun_offload.json").read_text()
)["cases"]
GSO = [case for case in CASES if len(case["segments"]) > 1]
MSS = 1001


def rows_of(packets: list[bytes], pad: int = 0) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Equal packets as rows, with garbage where padding would be."""
    width = max(map(len, packets)) + pad
    joined = b"".join(packet.ljust(width, b"\xee") for packet in packets)
    return np.frombuffer(bytearray(joined), np.uint8).reshape(len(packets), width)


def train(count: int = 5, **fields: Any) -> list[bytes]:
    return Tcp(payload=bytes(n % 251 for n in range(MSS * count)), **fields).train(MSS)


def groups(packets: list[bytes], pad: int = 3) -> list[tuple[int, int]]:
    return [(run.first, run.count) for run in find_runs(rows_of(packets, pad))]


@pytest.mark.parametrize("case", GSO, ids=lambda case: case["name"])
def test_vector_comes_back_whole(case: dict[str, Any]) -> None:
    segments = [bytes.fromhex(segment) for segment in case["segments"]]
    rows = rows_of(segments[:-1])
    (run,) = find_runs(rows)
    assert run.shape is not None
    first = memoryview(bytearray(segments[0]))
    last = memoryview(segments[-1])
    tail = joins(first, run.shape, run.count, last)
    assert tail is not None
    head = run.shape.header_bytes
    payload = b"".join(segment[head:] for segment in segments)
    has_psh = run.shape.is_tcp and bool(last[run.shape.ip_bytes + 13] & 8)
    header = write_super_header(first, run.shape, head + len(payload), has_psh=has_psh)
    assert bytes(first[:head]) + payload == bytes.fromhex(case["packet"])
    want = bytes.fromhex(case["virtio_hdr"])
    assert header.pack() == want


@pytest.mark.parametrize("pad", [0, 1, 2, 3, 16])
def test_one_flow_is_one_group_at_any_row_width(pad: int) -> None:
    assert groups(train(), pad) == [(0, 5)]


def test_ipv6_joins() -> None:
    assert groups(train(src="fd00::1", dst="fd00::2")) == [(0, 5)]


def test_udp_of_one_flow_joins() -> None:
    packets = [udp_packet("10.0.0.1", "10.0.0.2", 1, 2, bytes([n]) * 64) for n in range(6)]
    assert groups(packets) == [(0, 6)]


def test_psh_ends_a_group() -> None:
    packets = train()
    packets[2] = Tcp(payload=packets[2][52:], seq=1000 + 2 * MSS, ident=3, flags=0x18).pack()
    assert groups(packets) == [(0, 3), (3, 2)]


def test_gap_in_sequence_splits() -> None:
    packets = train()
    del packets[2]
    assert groups(packets) == [(0, 2), (2, 2)]


def test_other_flow_in_between_splits() -> None:
    packets = train(3)
    packets.insert(1, train(1, sport=40001)[0])
    assert groups(packets) == [(0, 1), (1, 1), (2, 2)]


@pytest.mark.parametrize("where", [10, 16, 36, 60])
def test_wrong_checksum_joins_nothing(where: int) -> None:
    packets = train()
    broken = bytearray(packets[2])
    broken[where] ^= 0x40
    packets[2] = bytes(broken)
    runs = find_runs(rows_of(packets, 3))
    assert [(run.first, run.count) for run in runs] == [(0, 2), (2, 1), (3, 2)]
    # A byte of the addresses makes it another flow, elsewhere the checksum is refused.
    assert runs[1].shape is None or where == 16


@pytest.mark.parametrize(
    "change",
    [{"ack": 5001}, {"window": 503}, {"ttl": 63}, {"tos": 2}, {"options": bytes(12)}],
    ids=str,
)
def test_difference_in_a_header_splits(change: dict[str, Any]) -> None:
    packets = train(3)
    odd = replace(Tcp(), payload=packets[1][52:], seq=1000 + MSS, ident=2, **change)
    packets[1] = odd.pack()
    assert groups(packets) == [(0, 1), (1, 1), (2, 1)]


@pytest.mark.parametrize("flags", [0x02, 0x11, 0x14, 0x50, 0x90, 0x30])
def test_special_flags_join_nothing(flags: int) -> None:
    packets = [Tcp(payload=b"x" * 100, seq=1000 + 100 * n, flags=flags).pack() for n in range(3)]
    assert find_runs(rows_of(packets)) == [Run(n, 1, None) for n in range(3)]


def test_pure_acks_fragments_and_other_protocols_join_nothing() -> None:
    for packets in (
        [Tcp().pack()] * 2,
        [ip_packet("10.0.0.1", "10.0.0.2", 17, bytes(64), frag=0x2000)] * 2,
        [ip_packet("10.0.0.1", "10.0.0.2", 1, bytes(64))] * 2,
    ):
        assert [run.shape for run in find_runs(rows_of(packets))] == [None, None]


def test_udp_without_checksum_joins_nothing() -> None:
    packet = bytearray(udp_packet("10.0.0.1", "10.0.0.2", 1, 2, b"x" * 64))
    packet[26:28] = bytes(2)
    assert [run.shape for run in find_runs(rows_of([bytes(packet)] * 2))] == [None, None]


def test_shorter_last_packet_follows_and_a_longer_one_does_not() -> None:
    packets = train(3)
    (run,) = find_runs(rows_of(packets))
    assert run.shape is not None
    first = memoryview(packets[0])
    short = Tcp(payload=b"end", seq=1000 + 3 * MSS, flags=0x18).pack()
    long = Tcp(payload=bytes(MSS + 1), seq=1000 + 3 * MSS).pack()
    gap = Tcp(payload=b"end", seq=1001 + 3 * MSS).pack()
    assert joins(first, run.shape, 3, memoryview(short)) is not None
    assert joins(first, run.shape, 3, memoryview(long)) is None
    assert joins(first, run.shape, 3, memoryview(gap)) is None


def test_shorter_last_packet_with_a_wrong_checksum_does_not_follow() -> None:
    packets = train(3)
    (run,) = find_runs(rows_of(packets))
    assert run.shape is not None
    short = bytearray(Tcp(payload=b"end", seq=1000 + 3 * MSS).pack())
    short[-1] ^= 1
    assert joins(memoryview(packets[0]), run.shape, 3, memoryview(short)) is None


def test_last_row_with_psh_closes_its_group() -> None:
    (run,) = find_runs(rows_of(train(3, flags=0x18)))
    assert run.ends
