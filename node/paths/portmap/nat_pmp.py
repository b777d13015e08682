"""NAT-PMP, RFC 6886: ask for the public address and for a UDP mapping, over UDP port 5351."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Final

from node.paths.portmap.errors import PortMapError, RefusedError

__all__ = [
    "NatPmpMapping",
    "encode_address_request",
    "encode_map",
    "parse_address",
    "parse_map",
]

LIFETIME_S: Final = 7200
_RESPONSE = 0x80
_OP_ADDRESS, _OP_MAP_UDP = 0, 1
_ADDRESS = struct.Struct(">BBHI4s")
_REQUEST = struct.Struct(">BBHHHI")
_MAPPING = struct.Struct(">BBHIHHI")
_RESULTS: Final = {
    1: "unsupported version",
    2: "not authorized",
    3: "network failure",
    4: "no resources",
    5: "unsupported operation",
}


@dataclass(frozen=True, slots=True)
class NatPmpMapping:
    """What the router granted; the public address comes by `parse_address`."""

    internal_port: int
    external_port: int
    lifetime_s: int
    epoch_s: int


def encode_address_request() -> bytes:
    """Return the two-byte question for the public address."""
    return bytes((0, _OP_ADDRESS))


def encode_map(internal_port: int, external_port: int = 0, lifetime_s: int = LIFETIME_S) -> bytes:
    """Return the request for a UDP mapping; a lifetime of 0 gives it back."""
    return _REQUEST.pack(0, _OP_MAP_UDP, 0, internal_port, external_port, lifetime_s)


def parse_address(datagram: bytes) -> tuple[IPv4Address, int]:
    """Return public address and epoch. Raises PortMapError, RefusedError."""
    _check(datagram, _OP_ADDRESS, _ADDRESS.size)
    _version, _op, _result, epoch_s, packed = _ADDRESS.unpack_from(datagram)
    return IPv4Address(packed), epoch_s


def parse_map(datagram: bytes) -> NatPmpMapping:
    """Read the grant. Raises PortMapError, RefusedError."""
    _check(datagram, _OP_MAP_UDP, _MAPPING.size)
    _version, _op, _result, epoch_s, internal, external, lifetime_s = _MAPPING.unpack_from(datagram)
    return NatPmpMapping(internal, external, lifetime_s, epoch_s)


def _check(datagram: bytes, operation: int, size: int) -> None:
    if len(datagram) < 4 or datagram[0] != 0 or datagram[1] != _RESPONSE | operation:
        raise PortMapError("not a NAT-PMP answer to this question")
    code = int.from_bytes(datagram[2:4], "big")
    # A refusal may be shorter than a grant.
    if code:
        raise RefusedError(code, f"NAT-PMP: {_RESULTS.get(code, 'unknown result')}")
    if len(datagram) < size:
        raise PortMapError("NAT-PMP answer is cut short")
