"""Packets from IPv6 to IPv4 and back, for one site (RFC 7915, without fragments and ICMP errors).

Addresses are given from outside; transport headers stay as they are but for their checksums, which
cover the addresses.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from node.datapath.checksum import ones_sum, pseudo_sum, tcp_checksum, udp_checksum

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["destination_in_ipv6", "to_ipv4", "to_ipv6"]

_TCP: Final = 6
_UDP: Final = 17
_ICMP: Final = 1
_ICMPV6: Final = 58
_IPV4_BYTES: Final = 20
_IPV6_BYTES: Final = 40
_DONT_FRAGMENT: Final = 0x4000
_ECHOES: Final = {128: 8, 129: 0}
"""ICMPv6 types and what they are in ICMP."""
_ECHOES_BACK: Final = {four: six for six, four in _ECHOES.items()}
_CHECKSUM_AT: Final = {_TCP: 16, _UDP: 6, _ICMP: 2, _ICMPV6: 2}
_LEAST_BYTES: Final = {_TCP: 20, _UDP: 8, _ICMP: 8, _ICMPV6: 8}


def destination_in_ipv6(packet: bytes) -> bytes:
    """Return the 16 bytes of an IPv6 packet's destination; nothing for a packet that is none."""
    is_ipv6 = len(packet) >= _IPV6_BYTES and packet[0] >> 4 == 6
    return packet[24:40] if is_ipv6 else b""


def to_ipv4(packet: bytes, source: bytes) -> bytes | None:
    """Return an IPv6 packet as IPv4, from `source`, to the last 4 bytes of its destination.

    None for what cannot be translated: other protocols, extension headers, damaged packets.
    """
    if len(packet) < _IPV6_BYTES or packet[0] >> 4 != 6:
        return None
    word, size, protocol, hops = struct.unpack_from("!IHBB", packet)
    payload = bytearray(packet[_IPV6_BYTES : _IPV6_BYTES + size])
    if len(payload) != size or not _is_translatable(protocol, payload, _ICMPV6):
        return None
    old = pseudo_sum(packet[8:40], protocol, size)
    addresses = source + packet[36:40]
    if protocol == _ICMPV6:
        if payload[0] not in _ECHOES:
            return None
        change = _retype(payload, _ECHOES) - old
        protocol = _ICMP
    else:
        change = pseudo_sum(addresses, protocol, size) - old
    _adjust_checksum(payload, protocol, change)
    header = bytearray(
        struct.pack(
            "!BBHHHBBH",
            0x45, word >> 20 & 0xFF, _IPV4_BYTES + size, 0, _DONT_FRAGMENT, hops, protocol, 0,
        )
    ) + addresses  # fmt: skip
    header[10:12] = tcp_checksum(ones_sum(header)).to_bytes(2, "big")
    return bytes(header + payload)


def to_ipv6(packet: bytes, prefix: bytes, destination: bytes) -> bytes | None:
    """Return an IPv4 packet as IPv6, from its source behind 12 bytes of prefix.

    None for what cannot be translated: other protocols, fragments, options, damaged packets.
    """
    if len(packet) < _IPV4_BYTES or packet[0] != 0x45:
        return None
    tos, total, _, fragment, hops, protocol = struct.unpack_from("!xBHHHBB", packet)
    payload = bytearray(packet[_IPV4_BYTES:total])
    if fragment & ~_DONT_FRAGMENT or len(payload) != total - _IPV4_BYTES:
        return None
    if not _is_translatable(protocol, payload, _ICMP):
        return None
    size = len(payload)
    addresses = prefix + packet[12:16] + destination
    if protocol == _ICMP:
        if payload[0] not in _ECHOES_BACK:
            return None
        protocol = _ICMPV6
        change = _retype(payload, _ECHOES_BACK) + pseudo_sum(addresses, protocol, size)
    elif protocol == _UDP and payload[6:8] == b"\0\0":
        # IPv4 may leave it out, IPv6 may not (RFC 8200, section 8.1).
        change = ones_sum(payload) + pseudo_sum(addresses, protocol, size)
    else:
        change = pseudo_sum(addresses, protocol, size) - pseudo_sum(packet[12:20], protocol, size)
    _adjust_checksum(payload, protocol, change)
    header = struct.pack("!IHBB", 6 << 28 | tos << 20, len(payload), protocol, hops)
    return bytes(header + addresses + payload)


def _is_translatable(protocol: int, payload: bytearray, icmp: int) -> bool:
    return protocol in {_TCP, _UDP, icmp} and len(payload) >= _LEAST_BYTES[protocol]


def _retype(payload: bytearray, types: Mapping[int, int]) -> int:
    """Change the type of an echo; return by how much that changes the sum over it."""
    before = payload[0]
    payload[0] = types[before]
    return (payload[0] - before) << 8


def _adjust_checksum(payload: bytearray, protocol: int, change: int) -> None:
    """Follow a change of what the checksum covers; a wrong one stays wrong (RFC 1624)."""
    at = _CHECKSUM_AT[protocol]
    total = change - int.from_bytes(payload[at : at + 2], "big")
    checksum = udp_checksum(total) if protocol == _UDP else tcp_checksum(total)
    payload[at : at + 2] = checksum.to_bytes(2, "big")
