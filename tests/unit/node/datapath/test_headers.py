"""Headers that count up, against headers made one by one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from node.datapath.headers import CountingHeads
from tests.support.packets import Tcp, udp_packet

COUNT, MSS = 7, 1001
TCP_BYTES = 32
V6: dict[str, Any] = {"src": "fd00::1", "dst": "fd00::2"}


def written(
    packets: list[bytes], head: int, at: int, *, is_ipv6: bool, is_tcp: bool
) -> list[bytes]:
    """Return the headers that follow from the first packet's, as many as there are packets."""
    payload = len(packets[0]) - head
    heads = np.full((len(packets), head), 0xEE, np.uint8)
    CountingHeads(len(packets), head, at, payload, is_ipv6=is_ipv6, is_tcp=is_tcp).write(
        np.frombuffer(packets[0], ">u4", head // 4).reshape(1, -1), heads.view(">u4")
    )
    return [row.tobytes() for row in heads]


def without_checksum(heads: list[bytes], at: int) -> list[bytes]:
    return [head[:at] + b"\0\0" + head[at + 2 :] for head in heads]


@pytest.mark.parametrize(
    ("fields", "at"), [({}, 20), (V6, 40), ({"seq": 0xFFFFFF00}, 20)], ids=["v4", "v6", "wrap"]
)
def test_tcp_headers_equal_those_of_the_segments(fields: dict[str, Any], at: int) -> None:
    packets = Tcp(payload=bytes(MSS * COUNT), flags=0x10, **fields).train(MSS)
    head = at + TCP_BYTES
    got = written(packets, head, at, is_ipv6=at == 40, is_tcp=True)
    want = [packet[:head] for packet in packets]
    # The transport checksum is the one thing that the headers alone do not tell.
    assert without_checksum(got, at + 16) == without_checksum(want, at + 16)


def test_udp_headers_do_not_change() -> None:
    packets = [udp_packet("fd00::1", "fd00::2", 7, 9, bytes(300))] * COUNT
    assert written(packets, 48, 40, is_ipv6=True, is_tcp=False) == [packets[0][:48]] * COUNT


def test_rows_may_stand_at_any_distance() -> None:
    packets = Tcp(payload=bytes(MSS * COUNT), flags=0x10).train(MSS)
    buffer = np.zeros(COUNT * 1033, np.uint8)
    rows = buffer.reshape(COUNT, 1033)[:, 16:68]
    CountingHeads(COUNT, 52, 20, MSS, is_ipv6=False, is_tcp=True).write(
        np.frombuffer(packets[0], ">u4", 13).reshape(1, -1), rows.view(">u4")
    )
    for row, packet in zip(rows, packets, strict=True):
        assert row[:36].tobytes() == packet[:36]
