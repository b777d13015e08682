"""Reads what tcpdump wrote: packets of a capture, and the byte streams of its TCP connections."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_FILE = struct.Struct("<IHHiIII")
_RECORD = struct.Struct("<IIII")
_MAGIC = 0xA1B2C3D4
_ETHERNET, _RAW = 1, 101
_ETHERNET_BYTES = 14
_TCP = 6

Flow = tuple[bytes, int, bytes, int]
"""Source address and port, destination address and port of one direction."""


@dataclass(frozen=True, slots=True)
class Segment:
    """One TCP segment."""

    flow: Flow
    sequence: int
    is_first: bool
    payload: bytes


def packets(path: Path) -> list[bytes]:
    """Return the IP packets of a capture, in order."""
    data = path.read_bytes()
    magic, *_, link = _FILE.unpack_from(data)
    assert magic == _MAGIC, f"{path}: not a capture in this machine's byte order"
    skip = {_ETHERNET: _ETHERNET_BYTES, _RAW: 0}[link]
    found, at = [], _FILE.size
    while at < len(data):
        _s, _us, captured, length = _RECORD.unpack_from(data, at)
        assert captured == length, "cut by the snapshot length"
        at += _RECORD.size
        found.append(data[at + skip : at + captured])
        at += captured
    return found


def segment(packet: bytes) -> Segment | None:
    """Return the TCP segment in an IP packet, None if there is none."""
    if packet[0] >> 4 == 4:
        start, protocol = (packet[0] & 15) * 4, packet[9]
        end = int.from_bytes(packet[2:4], "big")
        source, destination = packet[12:16], packet[16:20]
    else:
        start, protocol = 40, packet[6]
        end = 40 + int.from_bytes(packet[4:6], "big")
        source, destination = packet[8:24], packet[24:40]
    if protocol != _TCP:
        return None
    from_port, to_port, sequence = struct.unpack_from(">HHI", packet, start)
    payload = packet[start + (packet[start + 12] >> 4) * 4 : end]
    is_first = bool(packet[start + 13] & 0x02)
    return Segment((source, from_port, destination, to_port), sequence, is_first, payload)


def streams(path: Path) -> dict[Flow, bytes]:
    """Return what each direction of each TCP connection carried. Fails where bytes are missing."""
    found: dict[Flow, bytearray] = {}
    starts: dict[Flow, int] = {}
    early: dict[Flow, dict[int, bytes]] = {}
    for packet in packets(path):
        part = segment(packet)
        if part is None:
            continue
        if part.is_first:
            assert part.flow not in starts, "a port that was used twice"
            starts[part.flow] = (part.sequence + 1) % 2**32
            found[part.flow], early[part.flow] = bytearray(), {}
        elif part.payload:
            assert part.flow in starts, "a connection older than the capture"
            offset = (part.sequence - starts[part.flow]) % 2**32
            waiting = early[part.flow]
            waiting[offset] = max(waiting.get(offset, b""), part.payload, key=len)
            _grow(found[part.flow], waiting)
    assert not any(early.values()), "segments are missing"
    return {flow: bytes(stream) for flow, stream in found.items()}


def _grow(stream: bytearray, waiting: dict[int, bytes]) -> None:
    for offset in sorted(waiting):
        if offset > len(stream):
            return
        stream += waiting.pop(offset)[len(stream) - offset :]
