"""Transport checksums that the kernel left unfinished."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from node.datapath.checksum import complete_checksum
from node.datapath.virtio import VirtioHeader

PLAIN: list[dict[str, Any]] = [
    case
    for case in json.loads(
        (Path(__file__).parents[3] / "golden" / "datapath" / "tun_offload.json").read_text()
    )["cases"]
    if len(case["segments"]) == 1
]


@pytest.mark.parametrize("case", PLAIN, ids=lambda case: case["name"])
def test_partial_checksum_vector(case: dict[str, Any]) -> None:
    packet = bytearray.fromhex(case["packet"])
    header = VirtioHeader.unpack_from(bytes.fromhex(case["virtio_hdr"]))
    assert complete_checksum(memoryview(packet), header)
    assert packet.hex() == case["segments"][0]


def test_checksum_field_outside_the_packet_is_refused() -> None:
    packet = bytearray(40)
    assert not complete_checksum(memoryview(packet), VirtioHeader(1, 0, 0, 0, 30, 16))
