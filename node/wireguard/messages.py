"""The four WireGuard messages as bytes.

    initiation 148: u32 type=1 | u32 sender | ephemeral 32 | static 48 | timestamp 28 | mac1 | mac2
    response    92: u32 type=2 | u32 sender | u32 receiver | ephemeral 32 | empty 16 | mac1 | mac2
    cookie      64: u32 type=3 | u32 receiver | nonce 24 | cookie 32
    transport  32+: u32 type=4 | u32 receiver | u64 counter | ciphertext and tag

Integers are little-endian. The type is read as 32 bits, so a message with non-zero reserved bytes
is no message. Relay reference 9.2.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import assert_never

INITIATION_BYTES = 148
RESPONSE_BYTES = 92
COOKIE_REPLY_BYTES = 64
TRANSPORT_HEADER_BYTES = 16
TRANSPORT_OVERHEAD_BYTES = 32
MAC_BYTES = 16
MACS_BYTES = 2 * MAC_BYTES

_U32 = struct.Struct("<I")
_TRANSPORT = struct.Struct("<IIQ")


class MessageType(IntEnum):
    """First 32 bits of a message."""

    INITIATION = 1
    RESPONSE = 2
    COOKIE_REPLY = 3
    TRANSPORT = 4


@dataclass(frozen=True, slots=True)
class Initiation:
    """First message of a handshake, MACs aside."""

    sender: int
    ephemeral: bytes
    static: bytes
    """The initiator's static public key, sealed: 48 bytes."""
    timestamp: bytes
    """TAI64N, sealed: 28 bytes."""

    def pack(self) -> bytes:
        """Return the 116 bytes before the MACs."""
        return (
            struct.pack("<II", MessageType.INITIATION, self.sender)
            + self.ephemeral
            + self.static
            + self.timestamp
        )

    @classmethod
    def unpack(cls, message: bytes) -> Initiation:
        """Read a message that `message_type` took for an initiation."""
        (sender,) = _U32.unpack_from(message, 4)
        return cls(sender, message[8:40], message[40:88], message[88:116])


@dataclass(frozen=True, slots=True)
class Response:
    """Second message of a handshake, MACs aside."""

    sender: int
    receiver: int
    ephemeral: bytes
    empty: bytes
    """The sealed empty string: 16 bytes."""

    def pack(self) -> bytes:
        """Return the 60 bytes before the MACs."""
        return (
            struct.pack("<III", MessageType.RESPONSE, self.sender, self.receiver)
            + self.ephemeral
            + self.empty
        )

    @classmethod
    def unpack(cls, message: bytes) -> Response:
        """Read a message that `message_type` took for a response."""
        sender, receiver = struct.unpack_from("<II", message, 4)
        return cls(sender, receiver, message[12:44], message[44:60])


@dataclass(frozen=True, slots=True)
class CookieReply:
    """Answer under load: come back with this cookie."""

    receiver: int
    nonce: bytes
    cookie: bytes
    """The cookie, sealed: 32 bytes."""

    def pack(self) -> bytes:
        """Return the 64 bytes of the message."""
        return (
            struct.pack("<II", MessageType.COOKIE_REPLY, self.receiver) + self.nonce + self.cookie
        )

    @classmethod
    def unpack(cls, message: bytes) -> CookieReply:
        """Read a message that `message_type` took for a cookie reply."""
        (receiver,) = _U32.unpack_from(message, 4)
        return cls(receiver, message[8:32], message[32:64])


def message_type(datagram: bytes | bytearray | memoryview) -> MessageType | None:
    """Return what a datagram is by its first 32 bits and its length, or None for noise."""
    if len(datagram) < TRANSPORT_OVERHEAD_BYTES:
        return None
    (number,) = _U32.unpack_from(datagram)
    try:
        kind = MessageType(number)
    except ValueError:
        return None
    return kind if _has_length_of(kind, len(datagram)) else None


def _has_length_of(kind: MessageType, length: int) -> bool:
    match kind:
        case MessageType.INITIATION:
            return length == INITIATION_BYTES
        case MessageType.RESPONSE:
            return length == RESPONSE_BYTES
        case MessageType.COOKIE_REPLY:
            return length == COOKIE_REPLY_BYTES
        case MessageType.TRANSPORT:
            return True
        case _:
            assert_never(kind)


def sender_index(handshake: bytes) -> int:
    """Return the sender's index of an initiation or a response."""
    (index,) = _U32.unpack_from(handshake, 4)
    return int(index)


def transport_header(receiver: int, counter: int) -> bytes:
    """Return the 16 bytes before a transport message's ciphertext."""
    return _TRANSPORT.pack(MessageType.TRANSPORT, receiver, counter)


def transport_fields(datagram: bytes | bytearray | memoryview) -> tuple[int, int]:
    """Return receiver index and counter of a transport message."""
    _, receiver, counter = _TRANSPORT.unpack_from(datagram)
    return receiver, counter
