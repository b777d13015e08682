"""The little that WireGuard reads of an inner packet: its length and its addresses."""

from __future__ import annotations

_IPV4_HEADER = 20
_IPV6_HEADER = 40


def trimmed_length(plaintext: bytes | memoryview) -> int | None:
    """Return the packet's own length inside its padding; None when the header lies."""
    if len(plaintext) < _IPV4_HEADER:
        return None
    match plaintext[0] >> 4:
        case 4:
            length = int.from_bytes(plaintext[2:4], "big")
            least = _IPV4_HEADER
        case 6:
            length = int.from_bytes(plaintext[4:6], "big") + _IPV6_HEADER
            least = _IPV6_HEADER
        case _:
            return None
    return length if least <= length <= len(plaintext) else None


def source_of(packet: bytes | memoryview) -> bytes:
    """Return the packed source address of a packet that has a length."""
    return bytes(packet[12:16] if packet[0] >> 4 == 4 else packet[8:24])


def destination_of(packet: bytes | memoryview) -> bytes:
    """Return the packed destination address of a packet that has a length."""
    return bytes(packet[16:20] if packet[0] >> 4 == 4 else packet[24:40])
