"""Coverage-guided fuzzing of the packet parsers, with atheris.

    python tests/property/node/fuzz_packets.py TARGET [libFuzzer options]

Invariant of every target: any bytes are judged without an exception, and what comes out is as long
as it says.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import atheris  # type: ignore[import-untyped]  # ships no types

sys.path.insert(0, str(Path(__file__).parents[3]))

with atheris.instrument_imports(include=["node"]):
    import numpy as np

    from node.datapath.buffers import LEAD, TAG
    from node.datapath.checksum import complete_checksum
    from node.datapath.coalesce import find_runs
    from node.datapath.decode import decode
    from node.datapath.segment import Splitter
    from node.datapath.superpacket import inspect
    from node.datapath.virtio import HEADER_BYTES, VirtioHeader
    from node.transport.demux import classify
    from node.transport.endpoint import Endpoint
    from node.wireguard.device import Device
    from node.wireguard.inner import trimmed_length
    from node.wireguard.keys import SecretKey

ARRAY = np.zeros(1 << 18, np.uint8)
SPLITTER = Splitter(ARRAY)
DEVICE = Device(SecretKey(bytes(range(32))), entropy=lambda n: b"\5" * n, unix_ns=time.time_ns)
SOURCE = Endpoint.parse("192.0.2.1:1")


def fuzz_decode(data: bytes) -> None:
    decode(data)
    length = trimmed_length(data)
    assert length is None or length <= len(data)


def fuzz_coalesce(data: bytes) -> None:
    if len(data) < 4:
        return
    count = data[0] % 5 + 1
    width = (len(data) - 1) // count
    if not width:
        return
    rows = np.frombuffer(bytearray(data[1 : 1 + count * width]), np.uint8).reshape(count, width)
    runs = find_runs(rows)
    assert sum(run.count for run in runs) == count
    for run in runs:
        assert run.shape is None or run.shape.header_bytes < run.shape.length <= width


def fuzz_segment(data: bytes) -> None:
    if len(data) < HEADER_BYTES:
        return
    header = VirtioHeader.unpack_from(data)
    packet = memoryview(bytearray(data[HEADER_BYTES:]))
    complete_checksum(packet, header)
    source = inspect(packet, header)
    if source is None:
        return
    stride = LEAD + source.segment_bytes + TAG
    count = min(source.segments, 64, len(ARRAY) // stride)
    if count:
        SPLITTER.fill(source, stride, 0, count)


def fuzz_datagram(data: bytes) -> None:
    classify(data)
    DEVICE.receive(data, SOURCE, 1.0)
    DEVICE.on_deadline(1.0)
    assert not DEVICE.transmit()
    assert DEVICE.next_event() is None


if __name__ == "__main__":
    target = globals()[f"fuzz_{sys.argv.pop(1)}"]
    atheris.Setup(sys.argv, target)
    atheris.Fuzz()
