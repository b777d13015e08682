"""Inner packets read as far as the filter needs, and no further (policy reference 9.1).

Whatever cannot be read surely is `UNKNOWN`, which nothing allows. Of IPv6 extension headers only a
fragment header right behind the base header is understood; others stand as the protocol. SCTP is
read to its chunks, since what follows from a packet depends on them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.evaluate import FRAGMENT, UNKNOWN, PacketHeader
from node.datapath import sctp

if TYPE_CHECKING:
    from collections.abc import Mapping

ICMPV4 = 1
IGMP = 2
TCP = 6
UDP = 17
IPV6_FRAGMENT = 44
ICMPV6 = 58
TSMP = 99
SCTP = 132

_LEAST_UPPER: Mapping[int, int] = {TCP: 20, UDP: 8, SCTP: 12, ICMPV4: 4, ICMPV6: 4, TSMP: 7}
_LEAST_IGMP = 8
_LEAST_FRAGMENT_OFFSET = 10
"""Units of 8 bytes; a later fragment nearer than this could rewrite the upper header."""
_PORTED = frozenset({TCP, UDP, SCTP})
_ECHO = {ICMPV4: (0, 8), ICMPV6: (128, 129)}

IPV4_HEADER = 20
IPV6_HEADER = 40
_FRAGMENT_HEADER = 8
_MORE_FRAGMENTS = 1


def decode(packet: memoryview | bytes) -> PacketHeader | None:
    """Read a packet of at least an IP header; None when not even its addresses can be read."""
    version = packet[0] >> 4 if len(packet) >= IPV4_HEADER else 0
    if version == 4:
        return _decode_v4(packet)
    if version == 6 and len(packet) >= IPV6_HEADER:
        return _decode_v6(packet)
    return None


def _decode_v4(packet: memoryview | bytes) -> PacketHeader:
    src = int.from_bytes(packet[12:16], "big")
    dst = int.from_bytes(packet[16:20], "big")
    header = (packet[0] & 15) * 4
    total = packet[2] << 8 | packet[3]
    unknown = PacketHeader(4, src, dst, UNKNOWN)
    if header < IPV4_HEADER or not header <= total <= len(packet):
        return unknown
    fragment = packet[6] << 8 | packet[7]
    offset, has_more = fragment & 0x1FFF, bool(fragment & 0x2000)
    if offset:
        return unknown if offset < _LEAST_FRAGMENT_OFFSET else unknown._replace(proto=FRAGMENT)
    proto = packet[9]
    if proto == TSMP and has_more:
        return unknown
    return _with_upper(unknown, proto, packet[header:total], is_whole=not has_more)


def _decode_v6(packet: memoryview | bytes) -> PacketHeader:
    src = int.from_bytes(packet[8:24], "big")
    dst = int.from_bytes(packet[24:40], "big")
    end = IPV6_HEADER + (packet[4] << 8 | packet[5])
    unknown = PacketHeader(6, src, dst, UNKNOWN)
    if end > len(packet):
        return unknown
    proto, at, is_whole = packet[6], IPV6_HEADER, True
    if proto == IPV6_FRAGMENT:
        if end < at + _FRAGMENT_HEADER:
            return unknown
        offset = (packet[at + 2] << 8 | packet[at + 3]) >> 3
        if offset:
            too_near = offset < _LEAST_FRAGMENT_OFFSET
            return unknown if too_near else unknown._replace(proto=FRAGMENT)
        is_whole = not packet[at + 3] & _MORE_FRAGMENTS
        proto, at = packet[at], at + _FRAGMENT_HEADER
    return _with_upper(unknown, proto, packet[at:end], is_whole=is_whole)


def _with_upper(
    unknown: PacketHeader, proto: int, upper: memoryview | bytes, *, is_whole: bool
) -> PacketHeader:
    version, src, dst, _, *_ = unknown
    least = _LEAST_IGMP if proto == IGMP and version == 4 else _LEAST_UPPER.get(proto, 0)
    if proto in (UNKNOWN, FRAGMENT) or len(upper) < least:
        return unknown
    if proto == SCTP and sctp.read(upper, is_whole=is_whole) is None:
        return unknown
    if proto in _PORTED:
        source, destination = upper[0] << 8 | upper[1], upper[2] << 8 | upper[3]
        flags = upper[13] if proto == TCP else 0
        return PacketHeader(version, src, dst, proto, source, destination, flags)
    if proto in _ECHO:
        identifier = 0
        if upper[0] in _ECHO[proto] and len(upper) >= 6:
            identifier = upper[4] << 8 | upper[5]
        return PacketHeader(version, src, dst, proto, identifier, identifier, 0, upper[0])
    return PacketHeader(version, src, dst, proto)


def upper_of(packet: memoryview) -> memoryview:
    """Return a packet that was decoded from its upper header on."""
    if packet[0] >> 4 == 4:
        return packet[(packet[0] & 15) * 4 : packet[2] << 8 | packet[3]]
    at = IPV6_HEADER + (_FRAGMENT_HEADER if packet[6] == IPV6_FRAGMENT else 0)
    return packet[at : IPV6_HEADER + (packet[4] << 8 | packet[5])]


def key_bytes(header: PacketHeader) -> bytes:
    """Return addresses and ports packed as they stand in a packet without options."""
    size = 4 if header.version == 4 else 16
    return (
        header.src.to_bytes(size, "big")
        + header.dst.to_bytes(size, "big")
        + header.src_port.to_bytes(2, "big")
        + header.dst_port.to_bytes(2, "big")
    )


def reverse_key(key: bytes) -> bytes:
    """Return the key of the packets the other way."""
    size = (len(key) - 4) // 2
    return key[size : 2 * size] + key[:size] + key[-2:] + key[-4:-2]
