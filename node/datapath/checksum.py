"""The Internet checksum, as arithmetic modulo 65535.

A one's-complement sum of big-endian 16-bit words is the data read as one big number, modulo 65535;
swapping the bytes of every word multiplies it by 256. So sums may be taken in any word size and
byte order, and corrected afterwards. Zero and 65535 are the same residue: which of them a header
carries is the protocol's choice (RFC 768: never 0 for UDP; RFC 1624 for the rest).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from node.datapath.virtio import TCP_CSUM_OFFSET, UDP_CSUM_OFFSET

if TYPE_CHECKING:
    from node.datapath.virtio import VirtioHeader

MODULUS = 65535
_NUMPY_PAYS_BYTES = 192


def ones_sum(data: bytes | bytearray | memoryview) -> int:
    """Return the sum of big-endian 16-bit words modulo 65535; an odd tail is padded with zero."""
    length = len(data)
    if length < _NUMPY_PAYS_BYTES:
        number = int.from_bytes(data, "big")
        return (number << 8 if length & 1 else number) % MODULUS
    even = length & ~3
    total = int(np.frombuffer(data, "<u4", even >> 2).sum(dtype=np.uint64)) * 256
    if even != length:
        tail = bytes(data[even:]).ljust(4, b"\0")
        total += int.from_bytes(tail, "big")
    return total % MODULUS


def pseudo_sum(addresses: bytes | memoryview, protocol: int, length: int) -> int:
    """Return the pseudo-header's sum: source and destination packed, 8 or 32 bytes."""
    return (int.from_bytes(addresses, "big") + protocol + length) % MODULUS


def tcp_checksum(total: int) -> int:
    """Return the checksum for a sum over pseudo-header and segment with the field zero."""
    return (MODULUS - total % MODULUS) % MODULUS


def udp_checksum(total: int) -> int:
    """Like `tcp_checksum`, but never 0: that would mean "no checksum"."""
    return MODULUS - total % MODULUS


def set_ipv4_checksum(packet: bytearray | memoryview, header_bytes: int = 20) -> None:
    """Write the header checksum of an IPv4 packet in place."""
    packet[10] = packet[11] = 0
    packet[10:12] = tcp_checksum(ones_sum(packet[:header_bytes])).to_bytes(2, "big")


def complete_checksum(packet: memoryview, header: VirtioHeader) -> bool:
    """Finish a transport checksum that the kernel left at the pseudo-header's sum.

    False when the virtio header does not fit the packet.
    """
    start, offset = header.csum_start, header.csum_offset
    field = start + offset
    if field + 2 > len(packet) or offset not in (TCP_CSUM_OFFSET, UDP_CSUM_OFFSET):
        # Other protocols (SCTP uses CRC32c) never ask for this on a TUN device.
        return False
    # The field holds the pseudo-header's sum, so the sum over the segment is the whole sum.
    total = ones_sum(packet[start:])
    finish = udp_checksum if offset == UDP_CSUM_OFFSET else tcp_checksum
    packet[field : field + 2] = finish(total).to_bytes(2, "big")
    return True
