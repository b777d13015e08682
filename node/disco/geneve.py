"""The eight bytes in front of packets that travel by a peer relay (relay reference 3.14).

    0   1       2          4         7    8
    +---+-------+----------+---------+----+
    | 0 | C     | protocol | VNI     | 0  |
    +---+-------+----------+---------+----+

C is 0x80 for packets to and from the peer relay itself.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

from node.disco.errors import DiscoError, DiscoFault

__all__ = ["HEADER_BYTES", "GeneveHeader", "Protocol", "pack_header", "parse_header"]

HEADER_BYTES = 8
_CONTROL = 0x80


class Protocol(IntEnum):
    """What follows the header."""

    DISCO = 0x7A11
    WIREGUARD = 0x7A12


class GeneveHeader(NamedTuple):
    """A virtual network number and what it carries."""

    vni: int
    protocol: Protocol
    is_control: bool = False


def pack_header(header: GeneveHeader) -> bytes:
    """Return the eight bytes."""
    control = _CONTROL if header.is_control else 0
    protocol = header.protocol.to_bytes(2, "big")
    return bytes((0, control)) + protocol + header.vni.to_bytes(3, "big") + b"\0"


def parse_header(packet: bytes) -> GeneveHeader:
    """Read the eight bytes. Raises DiscoError(SHORT or NOT_DISCO)."""
    if len(packet) < HEADER_BYTES:
        raise DiscoError(DiscoFault.SHORT)
    number = int.from_bytes(packet[2:4], "big")
    if packet[0] & 0xC0 or packet[1] & 0x3F or packet[7] or number not in set(Protocol):
        raise DiscoError(DiscoFault.NOT_DISCO)
    vni = int.from_bytes(packet[4:7], "big")
    return GeneveHeader(vni, Protocol(number), is_control=bool(packet[1] & _CONTROL))
