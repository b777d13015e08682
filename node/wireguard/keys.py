"""Private, public and preshared keys of plain WireGuard, in wg's base64 spelling.

A secret lives in a bytearray that can be overwritten, never appears in a repr, and compares in
constant time. Copies that the cryptographic libraries take are out of Python's reach.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from typing import TYPE_CHECKING, Self

from node.wireguard.primitives import KEY_BYTES, public_of

if TYPE_CHECKING:
    from collections.abc import Callable


class InvalidKeyError(ValueError):
    """Text that is not 32 bytes in base64."""


def decode_key(text: str) -> bytes:
    """Read a key as wg writes it: 44 characters of base64. Raises InvalidKeyError."""
    try:
        raw = base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        raw = b""
    if len(raw) != KEY_BYTES or encode_key(raw) != text:
        raise InvalidKeyError("a WireGuard key is 32 bytes in base64 (44 characters)")
    return raw


def encode_key(raw: bytes | bytearray) -> str:
    """Write a key as wg does."""
    return base64.b64encode(raw).decode("ascii")


class SecretKey:
    """32 secret bytes: an X25519 private key or a preshared key."""

    __slots__ = ("_bytes",)

    def __init__(self, raw: bytes | bytearray) -> None:
        if len(raw) != KEY_BYTES:
            raise InvalidKeyError("a WireGuard key is 32 bytes")
        self._bytes = bytearray(raw)

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Read base64. Raises InvalidKeyError."""
        return cls(decode_key(text))

    @classmethod
    def generate(cls, entropy: Callable[[int], bytes]) -> Self:
        """Make a private key, clamped as wg genkey clamps it."""
        raw = bytearray(entropy(KEY_BYTES))
        raw[0] &= 248
        raw[31] = (raw[31] & 127) | 64
        return cls(raw)

    def reveal(self) -> bytes:
        """Return the bytes themselves; the caller keeps them no longer than it must."""
        return bytes(self._bytes)

    def reveal_text(self) -> str:
        """Return the base64 spelling, for a key file."""
        return encode_key(self._bytes)

    def public(self) -> bytes:
        """Return the X25519 public key."""
        return public_of(bytes(self._bytes))

    def wipe(self) -> None:
        """Overwrite the secret. The key is useless afterwards."""
        self._bytes[:] = bytes(KEY_BYTES)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SecretKey) and hmac.compare_digest(self._bytes, other._bytes)

    __hash__ = None  # type: ignore[assignment]  # a secret is no dictionary key

    def __repr__(self) -> str:
        return "SecretKey(<redacted>)"
