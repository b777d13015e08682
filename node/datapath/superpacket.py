"""Super-packets as a TUN device gives them: checked against their virtio header.

What passes here can be split: `segment` and `bulk` ask no more of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from node.datapath.virtio import (
    GSO_TCPV4,
    GSO_TCPV6,
    GSO_UDP_L4,
    TCP_CSUM_OFFSET,
    UDP_CSUM_OFFSET,
)

if TYPE_CHECKING:
    from node.datapath.virtio import VirtioHeader

MOST_ROWS = 64
"""Segments that are split at once."""

_IPV4_HEADER = 20
_IPV6_HEADER = 40
_TCP_HEADER = 20
_UDP_HEADER = 8
_ACK = 0x10
_PSH = 0x08
_KINDS = {(GSO_TCPV4, 4), (GSO_TCPV6, 6), (GSO_UDP_L4, 4), (GSO_UDP_L4, 6)}


class SuperPacket(NamedTuple):
    """A super-packet that was checked and can be split."""

    packet: memoryview
    is_ipv6: bool
    is_tcp: bool
    transport_at: int
    header_bytes: int
    """IP and transport headers together."""
    gso_size: int
    segments: int
    segment_bytes: int
    """Length of every segment but the last."""
    last_bytes: int
    """Length of the last segment."""


def may_stack(source: SuperPacket) -> bool:
    """Whether the segments are all of one length and differ in nothing but what counts up."""
    return (
        source.is_tcp
        and source.last_bytes == source.segment_bytes
        and 1 < source.segments <= MOST_ROWS
        and source.packet[source.transport_at + 13] & ~_PSH == _ACK
    )


def are_alike(source: SuperPacket, other: SuperPacket) -> bool:
    """Whether two super-packets that may stack are of one flow and make segments alike."""
    packet, at = source.packet, source.transport_at
    if source[1:] != other[1:] or packet[at : at + 4] != other.packet[at : at + 4]:
        return False
    if source.is_ipv6:
        return packet[:at] == other.packet[:at]
    return packet[:4] == other.packet[:4] and (
        packet[6:10] == other.packet[6:10] and packet[12:at] == other.packet[12:at]
    )


def inspect(packet: memoryview, header: VirtioHeader) -> SuperPacket | None:
    """Check a super-packet against its virtio header; None when the two do not fit."""
    if len(packet) < _IPV4_HEADER:
        return None
    version = packet[0] >> 4
    is_tcp = header.gso_type != GSO_UDP_L4
    if (header.gso_type, version) not in _KINDS or not header.gso_size:
        return None
    at = header.csum_start
    least = (packet[0] & 15) * 4 if version == 4 else _IPV6_HEADER
    if at < max(least, _IPV4_HEADER) or (version == 4 and at != least) or at % 4:
        return None
    if header.csum_offset != (TCP_CSUM_OFFSET if is_tcp else UDP_CSUM_OFFSET):
        return None
    if len(packet) < at + (_TCP_HEADER if is_tcp else _UDP_HEADER):
        return None
    header_bytes = at + ((packet[at + 12] >> 4) * 4 if is_tcp else _UDP_HEADER)
    if is_tcp and header_bytes < at + _TCP_HEADER:
        return None
    payload = len(packet) - header_bytes
    if payload <= 0:
        return None
    size = header.gso_size
    segments = -(-payload // size)
    segment = header_bytes + size
    last = len(packet) - (segments - 1) * size
    return SuperPacket(
        packet, version == 6, is_tcp, at, header_bytes, size, segments, segment, last
    )
