"""Frames of the handshake. All integers are big-endian.

    initiation, 101 bytes            response, 51 bytes        error, 3 + n bytes
      0  u16  version                  0  u8   2                 0  u8   3
      2  u8   1                        1  u16  48                1  u16  n
      3  u16  96                       3  32   ephemeral         3  n    text, for people
      5  32   ephemeral               35  16   tag
     37  48   sealed machine key
     85  16   tag

The initiation travels in an HTTP header; everything after it is on the connection.
"""

from __future__ import annotations

import binascii
import struct
from base64 import b64decode, b64encode
from typing import Final

from control.noise.errors import HandshakeError, HandshakeFault

__all__ = [
    "INITIATION_BYTES",
    "RESPONSE_BYTES",
    "ResponseDecoder",
    "decode_handshake_header",
    "decode_initiation",
    "encode_error_frame",
    "encode_handshake_header",
    "encode_initiation",
    "encode_response",
]

INITIATION_BYTES: Final = 101
RESPONSE_BYTES: Final = 51

_TYPE_INITIATION: Final = 1
_TYPE_RESPONSE: Final = 2
_TYPE_ERROR: Final = 3
_INITIATION_HEAD: Final = struct.Struct(">HBH")
_HEAD: Final = struct.Struct(">BH")
_INITIATION_BODY_BYTES: Final = INITIATION_BYTES - _INITIATION_HEAD.size
_RESPONSE_BODY_BYTES: Final = RESPONSE_BYTES - _HEAD.size
_MAX_ERROR_TEXT_BYTES: Final = 4096 - _HEAD.size


def encode_handshake_header(initiation: bytes) -> str:
    """Return the value of `X-Tailscale-Handshake`."""
    return b64encode(initiation).decode("ascii")


def decode_handshake_header(value: str) -> bytes:
    """Return what the header holds; raises ValueError unless it is canonical, padded base64."""
    # Far longer than any initiation: not worth decoding to find that out.
    if len(value) > 2 * INITIATION_BYTES:
        raise ValueError("handshake header: too long")
    try:
        return b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("handshake header: not base64") from None


def encode_initiation(version: int, body: bytes) -> bytes:
    """Put the head in front of ephemeral key, sealed machine key and tag."""
    return _INITIATION_HEAD.pack(version, _TYPE_INITIATION, _INITIATION_BODY_BYTES) + body


def decode_initiation(data: bytes) -> tuple[int, bytes]:
    """Return version and body; raises HandshakeError for another size, type or length."""
    if len(data) != INITIATION_BYTES:
        raise HandshakeError(HandshakeFault.INITIATION_SIZE)
    version, kind, length = _INITIATION_HEAD.unpack_from(data)
    if kind != _TYPE_INITIATION:
        raise HandshakeError(HandshakeFault.INITIATION_TYPE)
    if length != _INITIATION_BODY_BYTES:
        raise HandshakeError(HandshakeFault.INITIATION_LENGTH)
    return version, data[_INITIATION_HEAD.size :]


def encode_response(body: bytes) -> bytes:
    """Put the head in front of ephemeral key and tag."""
    return _HEAD.pack(_TYPE_RESPONSE, _RESPONSE_BODY_BYTES) + body


def encode_error_frame(text: str) -> bytes:
    """Return an error frame. `text` must be our own: never put a peer's bytes into one."""
    data = text.encode()[:_MAX_ERROR_TEXT_BYTES]
    return _HEAD.pack(_TYPE_ERROR, len(data)) + data


class ResponseDecoder:
    """Collects the server's answer from a stream, in whatever pieces it comes."""

    __slots__ = ("_buffer",)

    def __init__(self) -> None:
        self._buffer = bytearray()

    def receive(self, data: bytes) -> tuple[bytes, bytes] | None:
        """Return (response body, bytes after it) once complete, None before that.

        Raises HandshakeError: SERVER_REFUSED with the server's text as a hint, or RESPONSE_SHAPE.
        """
        self._buffer += data
        if len(self._buffer) < _HEAD.size:
            return None
        kind, length = _HEAD.unpack_from(self._buffer)
        if kind == _TYPE_ERROR and length <= _MAX_ERROR_TEXT_BYTES:
            self._raise_refusal(length)
        elif kind != _TYPE_RESPONSE or length != _RESPONSE_BODY_BYTES:
            raise HandshakeError(HandshakeFault.RESPONSE_SHAPE)
        end = _HEAD.size + length
        if len(self._buffer) < end:
            return None
        return bytes(self._buffer[_HEAD.size : end]), bytes(self._buffer[end:])

    def _raise_refusal(self, length: int) -> None:
        text = bytes(self._buffer[_HEAD.size : _HEAD.size + length])
        if len(text) == length:
            hint = text.decode(errors="replace")
            raise HandshakeError(HandshakeFault.SERVER_REFUSED, hint)
