"""The virtio network header that a TUN device with `IFF_VNET_HDR` puts before each packet.

    flags u8 | gso_type u8 | hdr_len u16 | gso_size u16 | csum_start u16 | csum_offset u16

Host byte order, 10 bytes. `hdr_len` may be wrong on forwarded traffic and is never believed.
"""

from __future__ import annotations

import struct
import sys
from typing import NamedTuple

HEADER_BYTES = 10
NEEDS_CSUM = 1

GSO_NONE = 0
GSO_TCPV4 = 1
GSO_TCPV6 = 4
GSO_UDP_L4 = 5
GSO_ECN = 0x80

TCP_CSUM_OFFSET = 16
UDP_CSUM_OFFSET = 6

_LAYOUT = struct.Struct("<BBHHHH" if sys.byteorder == "little" else ">BBHHHH")
NO_OFFLOAD = bytes(HEADER_BYTES)


class VirtioHeader(NamedTuple):
    """What the kernel left undone on a packet, or what we ask it to do."""

    flags: int
    gso_type: int
    """One of the GSO numbers, without the ECN bit."""
    header_bytes: int
    gso_size: int
    """Payload bytes of each segment but the last."""
    csum_start: int
    csum_offset: int

    @classmethod
    def unpack_from(cls, buffer: bytes | bytearray | memoryview, offset: int = 0) -> VirtioHeader:
        """Read 10 bytes at `offset`."""
        flags, gso_type, length, size, start, where = _LAYOUT.unpack_from(buffer, offset)
        return cls(flags, gso_type & ~GSO_ECN, length, size, start, where)

    def pack(self) -> bytes:
        """Return the 10 bytes."""
        return _LAYOUT.pack(*self)

    @property
    def needs_csum(self) -> bool:
        """Whether the transport checksum field holds only the pseudo-header sum."""
        return bool(self.flags & NEEDS_CSUM)
