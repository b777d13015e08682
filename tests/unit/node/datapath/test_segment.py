"""Super-packets into segments: recorded vectors, awkward sizes, refusals."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from node.datapath.segment import (
    LEAD,
    TAG,
    Splitter,
    SuperPacket,
    are_alike,
    complete_checksum,
    inspect,
    may_stack,
)
from node.datapath.virtio import VirtioHeader
from tests.support.packets import Tcp, split_slowly

CASES: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[3] / "golden" / "datapath" / "tun_offload.json").read_text()
)["cases"]
GSO = [case for case in CASES if len(case["segments"]) > 1]
PLAIN = [case for case in CASES if len(case["segments"]) == 1]


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


@pytest.mark.parametrize("case", PLAIN, ids=lambda case: case["name"])
def test_partial_checksum_vector(case: dict[str, Any]) -> None:
    packet = bytearray.fromhex(case["packet"])
    header = VirtioHeader.unpack_from(bytes.fromhex(case["virtio_hdr"]))
    assert complete_checksum(memoryview(packet), header)
    assert packet.hex() == case["segments"][0]


def super_tcp(
    payload: int, mss: int, *, ipv6: bool = False, flags: int = 0x18
) -> tuple[bytes, bytes]:
    src, dst = ("fd00::1", "fd00::2") if ipv6 else ("10.0.0.1", "10.0.0.2")
    body = bytes(n * 7 % 251 for n in range(payload))
    packet = Tcp(src=src, dst=dst, payload=body, flags=flags, seq=0xFFFFFF00, ident=0xFFFE).pack()
    start = 40 if ipv6 else 20
    return VirtioHeader(1, 4 if ipv6 else 1, 1, mss, start, 16).pack(), packet


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


def test_checksum_field_outside_the_packet_is_refused() -> None:
    packet = bytearray(40)
    assert not complete_checksum(memoryview(packet), VirtioHeader(1, 0, 0, 0, 30, 16))


def test_ecn_bit_of_the_type_is_ignored() -> None:
    assert VirtioHeader.unpack_from(VirtioHeader(1, 0x81, 0, 9, 20, 16).pack()).gso_type == 1


def in_a_row(bursts: int, mss: int, count: int, **fields: Any) -> list[SuperPacket]:
    """Return super-packets of one stream, each the next, without a shorter last segment."""
    found = []
    ipv6 = ":" in fields.get("src", "")
    for number in range(bursts):
        packet = Tcp(
            **{"flags": 0x10, "seq": 7 + number * count * mss, "ident": 9 + number * count}
            | fields,
            payload=bytes((n + number) % 251 for n in range(count * mss)),
        ).pack()
        header = VirtioHeader(1, 4 if ipv6 else 1, 0, mss, 40 if ipv6 else 20, 16)
        source = inspect(memoryview(bytearray(packet)), header)
        assert source is not None
        found.append(source)
    return found


V6: dict[str, Any] = {"src": "fd00::1", "dst": "fd00::2"}


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
