"""Port Control Protocol, RFC 6887: announce and map over UDP port 5351.

    0    1    2        4          8            24      36    37       40     42     44
    +----+----+--------+----------+------------+-------+-----+--------+------+------+-----------+
    | 2  | op | result | lifetime | client IP  | nonce | 17  | 0 0 0  | int  | ext  | ext IP 16 |
    +----+----+--------+----------+------------+-------+-----+--------+------+------+-----------+

In answers the top bit of the operation is set, the result is byte 3, and bytes 8 to 24 hold the
router's epoch.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from node.paths.portmap.errors import PortMapError, RefusedError
from node.transport.endpoint import Endpoint

__all__ = [
    "LIFETIME_S",
    "PORT",
    "PcpMapping",
    "encode_announce",
    "encode_map",
    "parse_announce",
    "parse_map",
]

PORT: Final = 5351
LIFETIME_S: Final = 7200
VERSION: Final = 2
NONCE_BYTES: Final = 12
UDP: Final = 17
_HEADER = struct.Struct(">BBHI16s")
_MAP = struct.Struct(">12sB3xHH16s")
_OP_ANNOUNCE, _OP_MAP, _RESPONSE = 0, 1, 0x80
_RESULTS: Final = {
    1: "unsupported version",
    2: "not authorized",
    3: "malformed request",
    4: "unsupported operation",
    5: "unsupported option",
    6: "malformed option",
    7: "network failure",
    8: "no resources",
    9: "unsupported protocol",
    10: "quota exceeded",
    11: "cannot provide the external address",
    12: "address mismatch: another NAT is in between",
    13: "too many remote peers",
}


@dataclass(frozen=True, slots=True)
class PcpMapping:
    """What the router granted."""

    nonce: bytes
    internal_port: int
    external: Endpoint
    lifetime_s: int
    epoch_s: int
    """Seconds since the router lost its state last; a step back means all mappings are gone."""


def encode_announce(client: IPv4Address) -> bytes:
    """Return the 24-byte question whether PCP is spoken here."""
    return _HEADER.pack(VERSION, _OP_ANNOUNCE, 0, 0, _mapped(client))


def encode_map(
    client: IPv4Address,
    nonce: bytes,
    internal_port: int,
    *,
    suggested: Endpoint | None = None,
    lifetime_s: int = LIFETIME_S,
) -> bytes:
    """Return the 60-byte request for a UDP mapping; a lifetime of 0 gives it back."""
    head = _HEADER.pack(VERSION, _OP_MAP, 0, lifetime_s, _mapped(client))
    address = IPv4Address(0) if suggested is None else suggested.ip
    packed = _mapped(address) if isinstance(address, IPv4Address) else address.packed
    port = suggested.port if suggested is not None else 0
    return head + _MAP.pack(nonce, UDP, internal_port, port, packed)


def parse_announce(datagram: bytes) -> int:
    """Return the router's epoch. Raises PortMapError, RefusedError."""
    return _open(datagram, _OP_ANNOUNCE)[1]


def parse_map(datagram: bytes, nonce: bytes) -> PcpMapping:
    """Read the grant for the request with this nonce. Raises PortMapError, RefusedError."""
    lifetime_s, epoch_s = _open(datagram, _OP_MAP)
    if len(datagram) < _HEADER.size + _MAP.size:
        raise PortMapError("PCP answer is cut short")
    echoed, protocol, internal, external, packed = _MAP.unpack_from(datagram, _HEADER.size)
    if echoed != nonce or protocol != UDP:
        raise PortMapError("PCP answer is for another request")
    address = IPv6Address(packed)
    endpoint = Endpoint(address.ipv4_mapped or address, external)
    return PcpMapping(nonce, internal, endpoint, lifetime_s, epoch_s)


def _open(datagram: bytes, operation: int) -> tuple[int, int]:
    if len(datagram) < _HEADER.size or datagram[1] != _RESPONSE | operation:
        raise PortMapError("not a PCP answer to this question")
    version, _op, result, lifetime_s, rest = _HEADER.unpack_from(datagram)
    # An answer in version 0 is NAT-PMP's way to say that PCP is not spoken.
    if version != VERSION:
        raise RefusedError(1, _RESULTS[1])
    if result & 0xFF:
        code = result & 0xFF
        raise RefusedError(code, f"PCP: {_RESULTS.get(code, 'unknown result')}")
    return lifetime_s, int.from_bytes(rest[:4], "big")


def _mapped(address: IPv4Address) -> bytes:
    return bytes(10) + b"\xff\xff" + address.packed
