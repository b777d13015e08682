"""What a datagram on the one UDP socket is. Order matters; relay reference 3.2.

STUN       cookie at 4..8 and a binding method
Geneve     8 bytes of header before disco (0x7a11) or WireGuard (0x7a12): peer relays
disco      six magic bytes and a sender key
WireGuard  everything else, noise included
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

DISCO_MAGIC = b"TS\xf0\x9f\x92\xac"
GENEVE_HEADER_BYTES = 8

_STUN_COOKIE = b"\x21\x12\xa4\x42"
_STUN_LEAST = 20
_STUN_METHOD = 1
_DISCO_LEAST = len(DISCO_MAGIC) + 32
_GENEVE_DISCO = b"\x7a\x11"
_GENEVE_WIREGUARD = b"\x7a\x12"


class DatagramKind(Enum):
    """Who reads a datagram."""

    STUN = "stun"
    DISCO = "disco"
    WIREGUARD = "wireguard"


class Classified(NamedTuple):
    """A datagram's reader, and whether a Geneve header comes first."""

    kind: DatagramKind
    is_geneve: bool


_STUN = Classified(DatagramKind.STUN, is_geneve=False)
_DISCO = Classified(DatagramKind.DISCO, is_geneve=False)
_WIREGUARD = Classified(DatagramKind.WIREGUARD, is_geneve=False)


def classify(datagram: bytes | memoryview) -> Classified:
    """Return who reads a datagram. Never fails: noise is WireGuard's to drop."""
    if len(datagram) >= _STUN_LEAST and _is_stun(datagram):
        return _STUN
    if len(datagram) >= GENEVE_HEADER_BYTES and _is_geneve(datagram):
        protocol = datagram[2:4]
        if protocol == _GENEVE_WIREGUARD:
            return Classified(DatagramKind.WIREGUARD, is_geneve=True)
        if protocol == _GENEVE_DISCO:
            if _is_disco(datagram[GENEVE_HEADER_BYTES:]):
                return Classified(DatagramKind.DISCO, is_geneve=True)
            return _WIREGUARD
    return _DISCO if _is_disco(datagram) else _WIREGUARD


def _is_stun(datagram: bytes | memoryview) -> bool:
    return not datagram[0] & 0xC0 and datagram[1] == _STUN_METHOD and datagram[4:8] == _STUN_COOKIE


def _is_geneve(datagram: bytes | memoryview) -> bool:
    return not datagram[0] & 0xC0 and not datagram[1] & 0x3F and not datagram[7]


def _is_disco(datagram: bytes | memoryview) -> bool:
    return len(datagram) >= _DISCO_LEAST and datagram[:6] == DISCO_MAGIC
