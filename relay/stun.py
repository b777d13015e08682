"""STUN binding requests and responses, the small part of RFC 8489 that NAT probing needs.

    0               2               4                       8                    20
    +---------------+---------------+-----------------------+--------------------+
    | type          | length        | magic cookie 2112a442 | transaction id     | attributes…
    +---------------+---------------+-----------------------+--------------------+

The shape of the request is fixed (relay reference 2.1): SOFTWARE `tailnode` and a FINGERPRINT.
A server that insists on both answers nobody else, so it cannot be used to reflect traffic, and
its answer (32 bytes for IPv4, 44 for IPv6) is about as long as the question (40).
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address

from relay.errors import RelayError

__all__ = [
    "DEFAULT_PORT",
    "TRANSACTION_BYTES",
    "Binding",
    "NotStunError",
    "Refusal",
    "encode_request",
    "encode_response",
    "is_stun",
    "parse_request",
    "parse_response",
    "respond",
]

DEFAULT_PORT = 3478
TRANSACTION_BYTES = 12
SOFTWARE = b"tailnode"

_COOKIE = b"\x21\x12\xa4\x42"
_HEADER = struct.Struct(">HH4s12s")
_HEADER_BYTES = 20
_ATTRIBUTE = struct.Struct(">HH")
_REQUEST = 0x0001
_SUCCESS = 0x0101
_ATTR_MAPPED = 0x0001
_ATTR_XOR_MAPPED = 0x0020
_ATTR_XOR_MAPPED_OLD = 0x8020
_ATTR_SOFTWARE = 0x8022
_ATTR_FINGERPRINT = 0x8028
_FINGERPRINT_XOR = 0x5354554E
_FINGERPRINT_BYTES = 8
_FAMILY_V4, _FAMILY_V6 = 1, 2


class NotStunError(RelayError):
    """A datagram that is no STUN message of the kind asked for."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.value)
        self.refusal = refusal


class Refusal(StrEnum):
    """Why a datagram gets no answer."""

    NOT_STUN = "not a STUN message"
    NOT_BINDING_REQUEST = "not a binding request"
    MALFORMED = "attributes do not add up"
    WRONG_SOFTWARE = "SOFTWARE is not the one this protocol uses"
    NO_FINGERPRINT = "no FINGERPRINT at the end"
    BAD_FINGERPRINT = "FINGERPRINT does not match"
    NO_ADDRESS = "response carries no address"


@dataclass(frozen=True, slots=True)
class Binding:
    """What a STUN server saw: the address and port a datagram came from."""

    transaction: bytes
    address: IPv4Address | IPv6Address
    port: int


def is_stun(datagram: bytes) -> bool:
    """Whether a datagram on a shared socket belongs to STUN (relay reference 3.2, rule 1)."""
    return (
        len(datagram) >= _HEADER_BYTES
        and not datagram[0] & 0xC0
        and datagram[1] == 0x01
        and datagram[4:8] == _COOKIE
    )


def encode_request(transaction: bytes) -> bytes:
    """Return the 40-byte binding request for a 12-byte transaction id."""
    software = _ATTRIBUTE.pack(_ATTR_SOFTWARE, len(SOFTWARE)) + SOFTWARE
    length = len(software) + _FINGERPRINT_BYTES
    message = _HEADER.pack(_REQUEST, length, _COOKIE, transaction) + software
    return message + struct.pack(">HHI", _ATTR_FINGERPRINT, 4, _fingerprint(message))


def parse_request(datagram: bytes) -> bytes:
    """Return the transaction id of a binding request of our shape. Raises NotStunError."""
    if len(datagram) < _HEADER_BYTES or datagram[0] & 0xC0 or datagram[4:8] != _COOKIE:
        raise NotStunError(Refusal.NOT_STUN)
    kind, length, _cookie, transaction = _HEADER.unpack_from(datagram)
    if kind != _REQUEST:
        raise NotStunError(Refusal.NOT_BINDING_REQUEST)
    if length != len(datagram) - _HEADER_BYTES:
        raise NotStunError(Refusal.MALFORMED)
    attributes = _attributes(datagram)
    if (_ATTR_SOFTWARE, SOFTWARE) not in attributes:
        raise NotStunError(Refusal.WRONG_SOFTWARE)
    if attributes[-1][0] != _ATTR_FINGERPRINT or len(attributes[-1][1]) != 4:
        raise NotStunError(Refusal.NO_FINGERPRINT)
    expected = _fingerprint(datagram[:-_FINGERPRINT_BYTES])
    if int.from_bytes(attributes[-1][1], "big") != expected:
        raise NotStunError(Refusal.BAD_FINGERPRINT)
    return bytes(transaction)


def encode_response(binding: Binding) -> bytes:
    """Return the success response; IPv4 in IPv6 clothes is told as the IPv4 it is."""
    address = _unmapped(binding.address)
    family = _FAMILY_V4 if address.version == 4 else _FAMILY_V6
    mask = _COOKIE + binding.transaction
    value = struct.pack(">BBH", 0, family, binding.port ^ 0x2112) + bytes(
        a ^ b for a, b in zip(address.packed, mask, strict=False)
    )
    attribute = _ATTRIBUTE.pack(_ATTR_XOR_MAPPED, len(value)) + value
    return _HEADER.pack(_SUCCESS, len(attribute), _COOKIE, binding.transaction) + attribute


def respond(datagram: bytes, address: IPv4Address | IPv6Address, port: int) -> bytes:
    """Answer one datagram that came from `address` and `port`.

    Raises NotStunError for anything that must be met with silence.
    """
    return encode_response(Binding(parse_request(datagram), address, port))


def parse_response(datagram: bytes) -> Binding:
    """Read a success response. Raises NotStunError; the caller matches the transaction."""
    if not is_stun(datagram):
        raise NotStunError(Refusal.NOT_STUN)
    kind, length, _cookie, transaction = _HEADER.unpack_from(datagram)
    if kind != _SUCCESS:
        raise NotStunError(Refusal.NOT_STUN)
    # Whatever follows the announced length is not part of the message.
    found = dict(reversed(_attributes(datagram[: _HEADER_BYTES + length])))
    for number in (_ATTR_XOR_MAPPED, _ATTR_XOR_MAPPED_OLD):
        if number in found:
            return _binding(transaction, found[number], _COOKIE + transaction)
    if _ATTR_MAPPED in found:
        return _binding(transaction, found[_ATTR_MAPPED], bytes(16))
    raise NotStunError(Refusal.NO_ADDRESS)


def _binding(transaction: bytes, value: bytes, mask: bytes) -> Binding:
    size = len(value) - 4
    if len(value) < 4 or (value[1], size) not in {(_FAMILY_V4, 4), (_FAMILY_V6, 16)}:
        raise NotStunError(Refusal.MALFORMED)
    port = int.from_bytes(value[2:4], "big") ^ int.from_bytes(mask[:2], "big")
    packed = bytes(a ^ b for a, b in zip(value[4:], mask, strict=False))
    address = IPv4Address(packed) if size == 4 else _unmapped(IPv6Address(packed))
    return Binding(bytes(transaction), address, port)


def _attributes(message: bytes) -> list[tuple[int, bytes]]:
    found: list[tuple[int, bytes]] = []
    at = _HEADER_BYTES
    while at < len(message):
        if len(message) - at < _ATTRIBUTE.size:
            raise NotStunError(Refusal.MALFORMED)
        number, length = _ATTRIBUTE.unpack_from(message, at)
        at += _ATTRIBUTE.size
        if length > len(message) - at:
            raise NotStunError(Refusal.MALFORMED)
        found.append((number, message[at : at + length]))
        at += length + (-length % 4)
    return found


def _unmapped(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    return getattr(address, "ipv4_mapped", None) or address


def _fingerprint(message: bytes) -> int:
    return zlib.crc32(message) ^ _FINGERPRINT_XOR
