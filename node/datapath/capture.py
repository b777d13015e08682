"""Packet capture in pcapng: what was let through or dropped, with the reason beside each packet.

Blocks as in the pcapng draft (draft-ietf-opsawg-pcapng): a section header, one raw-IP interface,
enhanced packet blocks with direction flags and a comment. Stops at a size limit.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.evaluate import Reason

_SECTION = 0x0A0D0D0A
_INTERFACE = 1
_PACKET = 6
_BYTE_ORDER = 0x1A2B3C4D
_LINKTYPE_RAW = 101
_OPTION_COMMENT = 1
_OPTION_FLAGS = 2
_OPTION_RESOLUTION = 9
_DIRECTIONS = {"in": 1, "out": 2}
SNAP_BYTES = 262144


class Capture:
    """Writes packets to an open file. `unix_ns` gives the wall clock."""

    def __init__(
        self,
        file: BinaryIO,
        unix_ns: Callable[[], int],
        *,
        keeps_allowed: bool = True,
        keeps_dropped: bool = True,
        max_bytes: int = 64 << 20,
    ) -> None:
        self._file = file
        self._unix_ns = unix_ns
        self.keeps_allowed = keeps_allowed
        self._keeps_dropped = keeps_dropped
        self._left = max_bytes
        self.missed = 0
        """Packets that came after the limit."""
        self._write(_block(_SECTION, struct.pack("<IHHq", _BYTE_ORDER, 1, 0, -1)))
        nanoseconds = _option(_OPTION_RESOLUTION, b"\x09") + _option(0, b"")
        interface = struct.pack("<HHI", _LINKTYPE_RAW, 0, SNAP_BYTES) + nanoseconds
        self._write(_block(_INTERFACE, interface))

    def allowed(self, packet: bytes | memoryview, direction: str) -> None:
        """Record a packet that was let through."""
        if self.keeps_allowed:
            self._packet(packet, direction, "allowed")

    def dropped(self, packet: bytes | memoryview, direction: str, reason: Reason) -> None:
        """Record a packet that was refused."""
        if self._keeps_dropped:
            self._packet(packet, direction, f"dropped: {reason.value}")

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _packet(self, packet: bytes | memoryview, direction: str, comment: str) -> None:
        at = self._unix_ns()
        length = len(packet)
        body = struct.pack("<IIIII", 0, at >> 32, at & 0xFFFFFFFF, length, length)
        body += _pad(bytes(packet))
        body += _option(_OPTION_COMMENT, comment.encode("ascii"))
        body += _option(_OPTION_FLAGS, struct.pack("<I", _DIRECTIONS[direction]))
        self._write(_block(_PACKET, body + _option(0, b"")))

    def _write(self, block: bytes) -> None:
        if len(block) > self._left:
            self.missed += 1
            return
        self._left -= len(block)
        self._file.write(block)


def _block(kind: int, body: bytes) -> bytes:
    length = len(body) + 12
    return struct.pack("<II", kind, length) + body + struct.pack("<I", length)


def _option(code: int, value: bytes) -> bytes:
    return struct.pack("<HH", code, len(value)) + _pad(value)


def _pad(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)
