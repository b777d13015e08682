"""Records: the byte stream after the handshake, sealed in frames of at most 4096 bytes.

    0  u8   4
    1  u16  n, big-endian, 16 to 4093
    3  n    ciphertext; the plaintext has n - 16 bytes and may be empty

The nonce is four zero bytes and a 64-bit counter, big-endian here where Noise has little-endian,
counting up from 0 in each direction. Record boundaries mean nothing to what is carried.
"""

from __future__ import annotations

import struct
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from control.noise.errors import RecordError

__all__ = ["MAX_PLAINTEXT_BYTES", "MAX_RECORD_BYTES", "RecordOpener", "RecordSealer"]

MAX_RECORD_BYTES: Final = 4096
_HEAD: Final = struct.Struct(">BH")
_NONCE: Final = struct.Struct(">IQ")
_TYPE_RECORD: Final = 4
_TAG_BYTES: Final = 16
_MAX_CIPHERTEXT_BYTES: Final = MAX_RECORD_BYTES - _HEAD.size
MAX_PLAINTEXT_BYTES: Final = _MAX_CIPHERTEXT_BYTES - _TAG_BYTES
_LAST_COUNTER: Final = 2**64 - 2


class RecordSealer:
    """Seals what one end sends. What `seal` returns must go out, in order, or the channel dies."""

    __slots__ = ("_aead", "_counter")

    def __init__(self, key: bytes, *, counter: int = 0) -> None:
        self._aead = ChaCha20Poly1305(key)
        self._counter = counter

    def seal(self, plaintext: bytes) -> bytes:
        """Return the records that carry `plaintext`; one empty record for no bytes."""
        if len(plaintext) <= MAX_PLAINTEXT_BYTES:
            return self._record(plaintext)
        view = memoryview(plaintext)
        return b"".join(
            self._record(view[at : at + MAX_PLAINTEXT_BYTES])
            for at in range(0, len(view), MAX_PLAINTEXT_BYTES)
        )

    def _record(self, plaintext: bytes | memoryview) -> bytes:
        nonce = _nonce(self._counter)
        self._counter += 1
        ciphertext = self._aead.encrypt(nonce, plaintext, None)
        return _HEAD.pack(_TYPE_RECORD, len(ciphertext)) + ciphertext


class RecordOpener:
    """Opens what the other end sent. After a RecordError the channel must be closed."""

    __slots__ = ("_aead", "_buffer", "_counter", "_is_broken")

    def __init__(self, key: bytes, *, counter: int = 0) -> None:
        self._aead = ChaCha20Poly1305(key)
        self._buffer = b""
        self._counter = counter
        self._is_broken = False

    def receive(self, data: bytes) -> bytes:
        """Take bytes in any chunks; return the plaintext of the records they completed.

        Never holds more than one incomplete record. Raises RecordError; what authenticated before
        the bad record in the same call is given up with the channel.
        """
        if self._is_broken:
            raise RecordError("record: the channel is already broken")
        buffer = self._buffer + data if self._buffer else data
        try:
            plaintexts, end = self._open_complete(buffer)
        except RecordError:
            self._is_broken = True
            self._buffer = b""
            raise
        self._buffer = buffer[end:]
        return b"".join(plaintexts)

    def _open_complete(self, buffer: bytes) -> tuple[list[bytes], int]:
        plaintexts, at = [], 0
        view = memoryview(buffer)
        while len(buffer) - at >= _HEAD.size:
            kind, length = _HEAD.unpack_from(buffer, at)
            if kind != _TYPE_RECORD:
                raise RecordError(f"record: type {kind} where {_TYPE_RECORD} is due")
            if not _TAG_BYTES <= length <= _MAX_CIPHERTEXT_BYTES:
                raise RecordError(f"record: {length} bytes of ciphertext are out of bounds")
            start = at + _HEAD.size
            if len(buffer) < start + length:
                break
            at = start + length
            plaintexts.append(self._open(view[start:at]))
        return plaintexts, at

    def _open(self, ciphertext: memoryview) -> bytes:
        nonce = _nonce(self._counter)
        self._counter += 1
        try:
            return self._aead.decrypt(nonce, ciphertext, None)
        except InvalidTag:
            raise RecordError("record: does not authenticate") from None


def _nonce(counter: int) -> bytes:
    if counter > _LAST_COUNTER:
        raise RecordError("record: the nonces of this channel are used up")
    return _NONCE.pack(0, counter)
