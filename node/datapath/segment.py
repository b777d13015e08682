"""TCP and UDP super-packets from the kernel into packets of the path's size, all at once.

The rows of one array each hold a segment, `LEAD` bytes in, with room for the tag behind. Header
fields, checksums and payloads of all rows are written by array operations: a segment costs a
fraction of a microsecond whatever its size, IPv4 or IPv6.

Checksums: the row is summed whole, IP header included. An IPv4 header with a right checksum adds
nothing modulo 65535; an IPv6 header adds a constant. What remains is the pseudo-header.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from node.datapath.checksum import MODULUS, ones_sum, pseudo_sum, tcp_checksum, udp_checksum
from node.datapath.virtio import (
    GSO_TCPV4,
    GSO_TCPV6,
    GSO_UDP_L4,
    TCP_CSUM_OFFSET,
    UDP_CSUM_OFFSET,
    VirtioHeader,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Rows = NDArray[np.uint8]

LEAD = 16
"""Bytes before each segment: room for the transport message's header."""

TCP = 6
UDP = 17

_IPV4_HEADER = 20
_IPV6_HEADER = 40
_TCP_HEADER = 20
_UDP_HEADER = 8
_FIN_PSH = 0x09
_CWR = 0x80
_RAMP = np.arange(65536, dtype=np.uint64)


@dataclass(frozen=True, slots=True)
class SuperPacket:
    """A super-packet that was checked and can be split."""

    packet: memoryview
    is_ipv6: bool
    is_tcp: bool
    transport_at: int
    header_bytes: int
    """IP and transport headers together."""
    gso_size: int
    segments: int

    @property
    def segment_bytes(self) -> int:
        """Length of every segment but the last."""
        return self.header_bytes + self.gso_size

    @property
    def last_bytes(self) -> int:
        """Length of the last segment."""
        return len(self.packet) - (self.segments - 1) * self.gso_size


def inspect(packet: memoryview, header: VirtioHeader) -> SuperPacket | None:
    """Check a super-packet against its virtio header; None when the two do not fit."""
    if len(packet) < _IPV4_HEADER:
        return None
    version = packet[0] >> 4
    is_tcp = header.gso_type != GSO_UDP_L4
    kinds = {4: (GSO_TCPV4, GSO_UDP_L4), 6: (GSO_TCPV6, GSO_UDP_L4)}
    if header.gso_type not in kinds.get(version, ()) or not header.gso_size:
        return None
    at = header.csum_start
    least = (packet[0] & 15) * 4 if version == 4 else _IPV6_HEADER
    if at < max(least, _IPV4_HEADER) or (version == 4 and at != least):
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
    return SuperPacket(
        packet=packet,
        is_ipv6=version == 6,
        is_tcp=is_tcp,
        transport_at=at,
        header_bytes=header_bytes,
        gso_size=header.gso_size,
        segments=-(-payload // header.gso_size),
    )


def fill_rows(source: SuperPacket, rows: Rows, first: int, count: int) -> None:
    """Write segments `first` to `first + count` into the rows.

    `rows` has `count` rows of at least LEAD + segment_bytes + 16 bytes. Bytes after a segment are
    zero, as WireGuard's padding must be.
    """
    head, size = source.header_bytes, source.gso_size
    body = LEAD + head
    rows[:, LEAD:body] = np.frombuffer(source.packet, np.uint8, head)
    has_last = first + count == source.segments
    full = count - 1 if has_last else count
    if full:
        payload = np.frombuffer(source.packet, np.uint8, full * size, head + first * size)
        rows[:full, body : body + size] = payload.reshape(full, size)
    rows[:, body + size :] = 0
    if has_last:
        begin = head + (source.segments - 1) * size
        tail = np.frombuffer(source.packet, np.uint8, -1, begin)
        rows[full, body : body + len(tail)] = tail
        rows[full, body + len(tail) :] = 0
    lengths = _lengths(source, count, has_last=has_last)
    if source.is_tcp:
        _write_tcp(source, rows, first, has_last=has_last)
    else:
        _put16(rows, LEAD + source.transport_at + 4, lengths - np.uint64(source.transport_at))
    if source.is_ipv6:
        _put16(rows, LEAD + 4, lengths - np.uint64(_IPV6_HEADER))
    else:
        _write_ipv4(source, rows, first, lengths)
    _write_checksums(source, rows, has_last=has_last)


def _lengths(source: SuperPacket, count: int, *, has_last: bool) -> NDArray[np.uint64]:
    lengths = np.full(count, source.segment_bytes, np.uint64)
    if has_last:
        lengths[-1] = source.last_bytes
    return lengths


def _put16(rows: Rows, at: int, values: NDArray[np.uint64]) -> None:
    rows[:, at : at + 2].view(">u2")[:, 0] = values


def _write_tcp(source: SuperPacket, rows: Rows, first: int, *, has_last: bool) -> None:
    at = source.transport_at
    sequence = int.from_bytes(source.packet[at + 4 : at + 8], "big") + first * source.gso_size
    steps = _RAMP[: len(rows)] * np.uint64(source.gso_size) + np.uint64(sequence)
    rows[:, LEAD + at + 4 : LEAD + at + 8].view(">u4")[:, 0] = steps & np.uint64(0xFFFFFFFF)
    flags = source.packet[at + 13]
    column = LEAD + at + 13
    if flags & _FIN_PSH:
        rows[:, column] = flags & ~_FIN_PSH
        if has_last:
            rows[-1, column] = flags
    if flags & _CWR:
        rows[1 if first == 0 else 0 :, column] &= ~_CWR & 0xFF


def _write_ipv4(source: SuperPacket, rows: Rows, first: int, lengths: NDArray[np.uint64]) -> None:
    packet = source.packet
    identity = int.from_bytes(packet[4:6], "big") + first
    identities = (_RAMP[: len(rows)] + np.uint64(identity)) & np.uint64(0xFFFF)
    # The header's sum without the three fields that are written here.
    fixed = ones_sum(packet[: source.transport_at])
    for at in (2, 4, 10):
        fixed -= int.from_bytes(packet[at : at + 2], "big")
    sums = (identities + lengths + np.uint64(fixed % MODULUS)) % np.uint64(MODULUS)
    _put16(rows, LEAD + 2, lengths)
    _put16(rows, LEAD + 4, identities)
    _put16(rows, LEAD + 10, (np.uint64(MODULUS) - sums) % np.uint64(MODULUS))


def _write_checksums(source: SuperPacket, rows: Rows, *, has_last: bool) -> None:
    at = source.transport_at
    field = LEAD + at + (TCP_CSUM_OFFSET if source.is_tcp else UDP_CSUM_OFFSET)
    rows[:, field : field + 2] = 0
    width = -(-source.segment_bytes // 4) * 4
    sums = rows[:, LEAD : LEAD + width].view("<u4").sum(axis=1, dtype=np.uint64)
    last_correction = _correction(source, source.last_bytes)
    correction = _correction(source, source.segment_bytes)
    if has_last:
        sums[:-1] += np.uint64(correction)
        sums[-1] += np.uint64(last_correction)
    else:
        sums += np.uint64(correction)
    checks = np.uint64(MODULUS) - sums % np.uint64(MODULUS)
    if source.is_tcp:
        checks %= np.uint64(MODULUS)
    rows[:, field : field + 2].view("<u2")[:, 0] = checks


def _correction(source: SuperPacket, length: int) -> int:
    """Pseudo-header less IP header, for rows that are summed as little-endian words."""
    packet, at = source.packet, source.transport_at
    protocol = TCP if source.is_tcp else UDP
    if not source.is_ipv6:
        return pseudo_sum(packet[12:20], protocol, length - at) * 256 % MODULUS
    header = ones_sum(packet[:at]) - int.from_bytes(packet[4:6], "big") + length - _IPV6_HEADER
    return (pseudo_sum(packet[8:40], protocol, length - at) - header) * 256 % MODULUS


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
