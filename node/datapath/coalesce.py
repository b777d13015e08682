"""Decrypted packets of one burst into super-packets for the kernel.

Packets join when they are one flow's next bytes: everything in their headers equal but the fields
that must differ, sequence contiguous, checksums right. A wrong checksum must not join, or the
kernel would be told that it is right. A packet with PSH ends its group; so does a shorter one.

`find_runs` looks at equal rows all at once; `joins` decides for a shorter packet behind them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from node.datapath.checksum import MODULUS, ones_sum, pseudo_sum
from node.datapath.decode import TCP, UDP
from node.datapath.virtio import (
    GSO_TCPV4,
    GSO_TCPV6,
    GSO_UDP_L4,
    NEEDS_CSUM,
    TCP_CSUM_OFFSET,
    UDP_CSUM_OFFSET,
    VirtioHeader,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Rows = NDArray[np.uint8]

_ACK = 0x10
_PSH = 0x08
_DF = 0x40
_IPV4_HEADER = 20
_IPV6_HEADER = 40
_UDP_HEADER = 8
_RAMP = np.arange(65536, dtype=np.uint32)


class Shape(NamedTuple):
    """What kind of packet could join others, by its first bytes."""

    is_ipv6: bool
    is_tcp: bool
    ip_bytes: int
    header_bytes: int
    length: int
    """Of the whole packet, padding cut off."""

    @property
    def payload(self) -> int:
        """Bytes after the headers."""
        return self.length - self.header_bytes


@dataclass(frozen=True, slots=True)
class Run:
    """Rows `first` to `first + count` are one group; `shape` is None for what cannot join."""

    first: int
    count: int
    shape: Shape | None
    ends: bool = False
    """Nothing may follow: the last row has PSH."""


def shape_of(packet: memoryview) -> Shape | None:
    """Return the shape of a packet that may join others, or None.

    `packet` may have padding behind it. No fragments, no options of IP, plain data only.
    """
    if len(packet) < _IPV4_HEADER + _UDP_HEADER:
        return None
    if packet[0] == 0x45:
        if packet[6] & 0x3F or packet[7]:
            return None
        return _with_transport(packet, 4, packet[9], int.from_bytes(packet[2:4], "big"))
    if packet[0] >> 4 == 6 and len(packet) >= _IPV6_HEADER + _UDP_HEADER:
        length = int.from_bytes(packet[4:6], "big") + _IPV6_HEADER
        return _with_transport(packet, 6, packet[6], length)
    return None


def _with_transport(packet: memoryview, version: int, protocol: int, length: int) -> Shape | None:
    ip_bytes = _IPV4_HEADER if version == 4 else _IPV6_HEADER
    if length > len(packet):
        return None
    if protocol == TCP and length > ip_bytes + 20:
        header_bytes = ip_bytes + (packet[ip_bytes + 12] >> 4) * 4
        if header_bytes < ip_bytes + 20 or packet[ip_bytes + 13] & ~_PSH != _ACK:
            return None
    elif protocol == UDP:
        header_bytes = ip_bytes + _UDP_HEADER
        has_checksum = packet[ip_bytes + 6] or packet[ip_bytes + 7]
        if not has_checksum or _read16(packet, ip_bytes + 4) != length - ip_bytes:
            return None
    else:
        return None
    if length <= header_bytes:
        return None
    return Shape(version == 6, protocol == TCP, ip_bytes, header_bytes, length)


def find_runs(rows: Rows) -> list[Run]:
    """Group rows of decrypted packets, in order; every row is in exactly one run.

    Rows have equal width. Padding behind a packet is overwritten with zeros.
    """
    runs: list[Run] = []
    first = 0
    while first < len(rows):
        shape = shape_of(memoryview(rows[first]))
        if shape is None:
            runs.append(Run(first, 1, None))
            first += 1
            continue
        alike = _alike(rows, first, shape)
        runs += _runs_of_alike(rows[first : first + alike], first, shape)
        first += alike
    return runs


def _alike(rows: Rows, first: int, shape: Shape) -> int:
    """Return how many rows from `first` have the same flow and header, checked at once."""
    if len(rows) - first == 1:
        return 1
    head = rows[first:, : shape.header_bytes].view(np.uint32)
    differs = head ^ head[0]
    differs &= varying_mask(shape).view(np.uint32)
    if not differs.any():
        return len(head)
    return int(differs.any(axis=1).argmax())


_MASKS: dict[tuple[bool, bool, int], Rows] = {}


def varying_mask(shape: Shape) -> Rows:
    """Return 255 for header bytes that must be equal, 0 for those that may differ."""
    key = (shape.is_ipv6, shape.is_tcp, shape.header_bytes)
    mask = _MASKS.get(key)
    if mask is None:
        mask = np.full(shape.header_bytes, 255, np.uint8)
        if not shape.is_ipv6:
            mask[4:6] = 0  # identification
            mask[10:12] = 0  # header checksum
        at = shape.ip_bytes
        if shape.is_tcp:
            mask[at + 4 : at + 8] = 0  # sequence
            mask[at + 13] = ~_PSH & 0xFF
            mask[at + 16 : at + 18] = 0
        else:
            mask[at + 6 : at + 8] = 0
        _MASKS[key] = mask
    return mask


def _runs_of_alike(rows: Rows, base: int, shape: Shape) -> list[Run]:
    """Split rows of one flow where the sequence jumps, PSH ends a group or a checksum is wrong."""
    count = len(rows)
    valid = _checksums_hold(rows, shape)
    ends = _has_psh(rows[-1], shape)
    if count == 1:
        return [Run(base, 1, shape if valid[0] else None, ends)]
    follows = _follow(rows, shape)
    if valid.all() and follows.all():
        return [Run(base, count, shape, ends)]
    joined = valid[1:] & valid[:-1] & follows
    starts = [0, *(np.flatnonzero(~joined) + 1).tolist()]
    return [
        Run(base + a, b - a, shape if valid[a] else None, _has_psh(rows[b - 1], shape))
        for a, b in zip(starts, [*starts[1:], count], strict=True)
    ]


def _follow(rows: Rows, shape: Shape) -> NDArray[np.bool_]:
    """Whether each row but the first continues the one before it."""
    follows = np.ones(len(rows) - 1, np.bool_)
    if not shape.is_ipv6:
        identity = rows[:, 4:6].view(">u2")[:, 0].astype(np.uint16)
        steps = identity[1:] - identity[:-1]
        # The kernel numbers what it splits. Where nobody may fragment, no number matters.
        follows = steps <= 1 if rows[0, 6] & _DF else steps == 1
    if not shape.is_tcp:
        return follows
    at = shape.ip_bytes
    sequence = rows[:, at + 4 : at + 8].view(">u4")[:, 0].astype(np.uint32)
    follows &= (sequence[1:] - sequence[:-1]) == shape.payload
    pushed = rows[:-1, at + 13] & _PSH
    if pushed.any():
        follows &= pushed == 0
    return follows


def _has_psh(row: Rows, shape: Shape) -> bool:
    return shape.is_tcp and bool(row[shape.ip_bytes + 13] & _PSH)


def _checksums_hold(rows: Rows, shape: Shape) -> NDArray[np.bool_]:
    """Whether IPv4 header and transport checksums are right, for rows with equal addresses."""
    length, at = shape.length, shape.ip_bytes
    width = -(-length // 4) * 4
    if length < rows.shape[1]:
        rows[:, length : width + 4] = 0
    if width > rows.shape[1]:
        # The last word is cut by the row's end: sum 16-bit words, and an odd byte by itself.
        even = length & ~1
        sums = np.add.reduce(rows[:, :even].view("<u2"), axis=1, dtype=np.int64)
        if even != length:
            sums += rows[:, even]
    else:
        sums = np.add.reduce(rows[:, :width].view("<u4"), axis=1, dtype=np.int64)
    first = memoryview(rows[0])
    protocol = TCP if shape.is_tcp else UDP
    if shape.is_ipv6:
        want = ones_sum(first[:at]) - pseudo_sum(first[8:40], protocol, length - at)
        return (sums - want * 256 % MODULUS) % MODULUS == 0  # type: ignore[no-any-return]  # numpy
    # Rows differ in identification and checksum alone, so the rest of the header is summed once.
    words = rows[:, :_IPV4_HEADER].view(">u2")
    fixed = ones_sum(first[:at]) - int(words[0, 2]) - int(words[0, 5])
    headers = words[:, 2].astype(np.int64)
    headers += words[:, 5]
    # A right IPv4 header adds nothing to the sum, so the two conditions can be asked apart.
    want = -pseudo_sum(first[12:20], protocol, length - at)
    sums -= want * 256 % MODULUS
    wrong = sums % MODULUS
    wrong |= (headers + fixed) % MODULUS
    return wrong == 0  # type: ignore[no-any-return]  # numpy


def joins(first: memoryview, shape: Shape, count: int, packet: memoryview) -> Shape | None:
    """Return the shape of a last packet that may follow `count` packets like `first`, or None.

    It may be shorter, never longer. `packet` may have padding behind it.
    """
    other = shape_of(packet)
    if (
        other is None
        or other.header_bytes != shape.header_bytes
        or other.length > shape.length
        or other.is_tcp != shape.is_tcp
        or other.is_ipv6 != shape.is_ipv6
    ):
        return None
    mine = np.frombuffer(first, np.uint8, shape.header_bytes)
    theirs = np.frombuffer(packet, np.uint8, shape.header_bytes)
    differs = (mine ^ theirs) & varying_mask(shape)
    at = shape.ip_bytes
    differs[4 if shape.is_ipv6 else 2 :][:2] = 0
    if not shape.is_tcp:
        differs[at + 4 : at + 6] = 0
    if differs.any():
        return None
    if not shape.is_ipv6:
        step = _read16(packet, 4) - _read16(first, 4) - count & 0xFFFF
        if step and not (packet[6] & _DF and step == -count & 0xFFFF):
            return None
    if shape.is_tcp:
        expected = int.from_bytes(first[at + 4 : at + 8], "big") + count * shape.payload
        if int.from_bytes(packet[at + 4 : at + 8], "big") != expected & 0xFFFFFFFF:
            return None
    return other if _checksum_holds(packet, other) else None


def _checksum_holds(packet: memoryview, shape: Shape) -> bool:
    at = shape.ip_bytes
    protocol = TCP if shape.is_tcp else UDP
    addresses = packet[8:40] if shape.is_ipv6 else packet[12:20]
    total = ones_sum(packet[at : shape.length])
    if (total + pseudo_sum(addresses, protocol, shape.length - at)) % MODULUS:
        return False
    return shape.is_ipv6 or not ones_sum(packet[:at])


def write_super_header(
    packet: memoryview, shape: Shape, total: int, *, has_psh: bool
) -> VirtioHeader:
    """Turn the first packet's header into the group's, in place; returns what to tell the kernel.

    `total` is the length of the super-packet. The transport checksum becomes the folded, not
    inverted, sum of the pseudo-header.
    """
    at = shape.ip_bytes
    if shape.is_ipv6:
        packet[4:6] = (total - _IPV6_HEADER).to_bytes(2, "big")
    else:
        # The checksum was right for the old length: only the difference counts.
        checksum = (_read16(packet, 10) + _read16(packet, 2) - total) % MODULUS
        packet[2:4] = total.to_bytes(2, "big")
        packet[10:12] = checksum.to_bytes(2, "big")
    addresses = packet[8:40] if shape.is_ipv6 else packet[12:20]
    protocol = TCP if shape.is_tcp else UDP
    pseudo = pseudo_sum(addresses, protocol, total - at)
    offset = TCP_CSUM_OFFSET if shape.is_tcp else UDP_CSUM_OFFSET
    if shape.is_tcp:
        if has_psh:
            packet[at + 13] |= _PSH
        gso_type = GSO_TCPV6 if shape.is_ipv6 else GSO_TCPV4
    else:
        packet[at + 4 : at + 6] = (total - at).to_bytes(2, "big")
        gso_type = GSO_UDP_L4
    packet[at + offset : at + offset + 2] = pseudo.to_bytes(2, "big")
    return VirtioHeader(NEEDS_CSUM, gso_type, shape.header_bytes, shape.payload, at, offset)


def _read16(packet: memoryview, at: int) -> int:
    return packet[at] << 8 | packet[at + 1]
