"""Super-packets into segments: recorded vectors, awkward sizes, refusals."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from node.datapath.buffers import LEAD, TAG
from node.datapath.segment import Splitter
from node.datapath.superpacket import inspect
from node.datapath.virtio import VirtioHeader
from tests.support.packets import Tcp, split_slowly
from tests.support.super_packets import V6, in_a_row, super_tcp

GSO: list[dict[str, Any]] = [
    case
    for case in json.loads(
        (Path(__file__).parents[3] / "golden" / "datapath" / "tun_offload.json").read_text()
    )["cases"]
    if len(case["segments"]) > 1
]


def split(virtio: bytes, packet: bytes, chunk: int = 64) -> list[bytes]:
    """Split through the array version, `chunk` rows at a time, into dirty rows."""
    source = inspect(memoryview(bytearray(packet)), VirtioHeader.unpack_from(virtio))
    assert source is not None
    stride = LEAD + source.segment_bytes + 5 + TAG
    array = np.full(chunk * stride, 0xEE, np.uint8)
    splitter = Splitter(array)
    out = []
    for first in range(0, source.segments, chunk):
        count = min(chunk, source.segments - first)
        array[:] = 0xEE
        splitter.fill(source, stride, first, count)
        for n, row in enumerate(array.reshape(chunk, stride)[:count]):
            is_last = first + n == source.segments - 1
            length = source.last_bytes if is_last else source.segment_bytes
            assert row[:LEAD].tobytes() == b"\xee" * LEAD
            out.append(row[LEAD : LEAD + length].tobytes())
            assert not row[LEAD + length : -TAG].any()
    return out


@pytest.mark.parametrize("case", GSO, ids=lambda case: case["name"])
def test_vector(case: dict[str, Any]) -> None:
    segments = split(bytes.fromhex(case["virtio_hdr"]), bytes.fromhex(case["packet"]))
    assert [segment.hex() for segment in segments] == case["segments"]


@pytest.mark.parametrize("ipv6", [False, True], ids=["ipv4", "ipv6"])
@pytest.mark.parametrize("mss", [1, 7, 536, 1000, 1001, 1300, 1368, 1400])
@pytest.mark.parametrize("extra", [0, 1, 3])
def test_any_segment_size_equals_the_slow_split(ipv6: bool, mss: int, extra: int) -> None:
    virtio, packet = super_tcp(min(mss * 41 + extra, 60000), mss, ipv6=ipv6)
    assert split(virtio, packet) == split_slowly(virtio, packet)


def test_chunks_do_not_change_the_segments() -> None:
    virtio, packet = super_tcp(50000, 536)
    assert split(virtio, packet, chunk=7) == split(virtio, packet, chunk=64)


def test_row_without_padding_is_right_too() -> None:
    virtio, packet = super_tcp(1368 * 3 + 5, 1368)
    source = inspect(memoryview(packet), VirtioHeader.unpack_from(virtio))
    assert source is not None
    stride = LEAD + source.segment_bytes + TAG
    array = np.full(8 * stride, 0xEE, np.uint8)
    Splitter(array).fill(source, stride, 0, source.segments)
    rows = array.reshape(8, stride)
    want = split_slowly(virtio, packet)
    assert [rows[n, LEAD : LEAD + len(one)].tobytes() for n, one in enumerate(want)] == want


@pytest.mark.parametrize("ipv6", [False, True], ids=["ipv4", "ipv6"])
def test_cwr_stays_on_the_first_segment_alone(ipv6: bool) -> None:
    virtio, packet = super_tcp(3000, 1000, flags=0x98, ipv6=ipv6)
    at = 53 if ipv6 else 33
    flags = [segment[at] for segment in split(virtio, packet, chunk=2)]
    assert flags == [0x90, 0x10, 0x18]


@pytest.mark.parametrize("ident", [0, 0xFFBF, 0xFFC0, 0xFFC1, 0xFFD9, 0xFFFF])
def test_identifications_and_checksums_are_right_around_the_wrap(ident: int) -> None:
    packet = Tcp(
        src="10.0.0.1", dst="10.0.0.2", payload=bytes(64 * 60), flags=0x10, seq=9, ident=ident
    ).pack()
    virtio = VirtioHeader(1, 1, 1, 60, 20, 16).pack()
    assert split(virtio, packet) == split_slowly(virtio, packet)


def wrapping_packet(ident: int) -> bytes:
    return Tcp(
        src="10.0.0.1", dst="10.0.0.2", payload=bytes(64 * 60), flags=0x10, seq=9, ident=ident
    ).pack()


@pytest.mark.parametrize("checksum", [0, 1, 2, 31, 62, 63, 64, 65, 65470, 65534])
def test_header_checksums_that_fall_below_zero_borrow_from_nobody(checksum: int) -> None:
    """Of all first identifications, that whose segments begin with this header checksum."""
    virtio = VirtioHeader(1, 1, 1, 60, 20, 16).pack()
    first = int.from_bytes(split_slowly(virtio, wrapping_packet(0))[0][10:12], "big")
    packet = wrapping_packet((first - checksum) % 65535)
    want = split_slowly(virtio, packet)
    assert int.from_bytes(want[0][10:12], "big") % 65535 == checksum
    assert split(virtio, packet) == want
    assert split(virtio, packet, chunk=7) == want


@pytest.mark.parametrize("fields", [{}, V6, {"flags": 0x18}, {"seq": 2**32 - 5}])
@pytest.mark.parametrize("mss", [536, 1001, 1368])
@pytest.mark.parametrize("bursts", [2, 3, 4])
def test_super_packets_together_equal_each_by_itself(
    fields: dict[str, Any], mss: int, bursts: int
) -> None:
    count = 5
    sources = in_a_row(bursts, mss, count, **fields)
    stride = LEAD + sources[0].segment_bytes + 3 + TAG
    array = np.full((bursts * count, stride), 0xEE, np.uint8)
    assert Splitter(array.reshape(-1)).fill_all(sources, stride)
    one = np.full((count, stride), 0xEE, np.uint8)
    for number, source in enumerate(sources):
        Splitter(one.reshape(-1)).fill(source, stride, 0, count)
        together = array[number * count : (number + 1) * count]
        assert together[:, :-TAG].tobytes() == one[:, :-TAG].tobytes()


@pytest.mark.parametrize("ident", [0xFFFC, 0xFFFF])
def test_identifications_that_wrap_are_left_to_one_by_one(ident: int) -> None:
    sources = in_a_row(1, 500, 5) + in_a_row(1, 500, 5, ident=ident)
    array = np.zeros(10 * 700, np.uint8)
    assert not Splitter(array).fill_all(sources, 700)
    assert not array.any()
