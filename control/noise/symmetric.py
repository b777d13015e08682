"""Noise's symmetric state: the running hash and chaining key (Noise 5.2).

BLAKE2s throughout, with HMAC as in RFC 2104, not BLAKE2's own keyed mode. Every key that `mix_dh`
gives encrypts at most one message, so its nonce is always zero.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from control.keys import LowOrderPointError
from control.noise.errors import HandshakeError, HandshakeFault

if TYPE_CHECKING:
    from control.keys import MachinePrivate, MachinePublic

__all__ = ["SymmetricState"]

_PROTOCOL_NAME: Final = b"Noise_IK_25519_ChaChaPoly_BLAKE2s"
_ZERO_NONCE: Final = bytes(12)


class SymmetricState:
    """Hash `h` of everything said so far, and the chaining key `ck` of every secret mixed in."""

    __slots__ = ("_ck", "_h")

    def __init__(self) -> None:
        # The name is longer than a hash, so it is hashed rather than padded.
        self._h = self._ck = _blake2s(_PROTOCOL_NAME)

    @property
    def handshake_hash(self) -> bytes:
        """The 32-byte hash that binds everything said so far."""
        return self._h

    def mix_hash(self, data: bytes) -> None:
        """Bind `data` to the handshake."""
        self._h = _blake2s(self._h + data)

    def mix_dh(self, private: MachinePrivate, public: MachinePublic) -> bytes:
        """Mix in the secret of two keys and return a one-use AEAD key; may raise HandshakeError."""
        try:
            secret = private.exchange(public)
        except LowOrderPointError:
            raise HandshakeError(HandshakeFault.LOW_ORDER_POINT) from None
        self._ck, key = _hkdf(self._ck, secret)
        return key

    def encrypt_and_hash(self, key: bytes, plaintext: bytes) -> bytes:
        """Seal `plaintext` under a key from `mix_dh`, bound to all that was said before."""
        ciphertext = ChaCha20Poly1305(key).encrypt(_ZERO_NONCE, plaintext, self._h)
        self.mix_hash(ciphertext)
        return ciphertext

    def decrypt_and_hash(self, key: bytes, ciphertext: bytes) -> bytes:
        """Open what the other side sealed; raises HandshakeError if it does not authenticate."""
        try:
            plaintext = ChaCha20Poly1305(key).decrypt(_ZERO_NONCE, ciphertext, self._h)
        except InvalidTag:
            raise HandshakeError(HandshakeFault.NOT_AUTHENTIC) from None
        self.mix_hash(ciphertext)
        return plaintext

    def split(self) -> tuple[bytes, bytes]:
        """Return the two transport keys: initiator to responder, and back."""
        return _hkdf(self._ck, b"")


def _blake2s(data: bytes) -> bytes:
    return hashlib.blake2s(data).digest()


def _hmac(key: bytes, data: bytes) -> bytes:
    return hmac.digest(key, data, "blake2s")


def _hkdf(salt: bytes, secret: bytes) -> tuple[bytes, bytes]:
    """Return two keys by HKDF without info (RFC 5869)."""
    extracted = _hmac(salt, secret)
    first = _hmac(extracted, b"\x01")
    return first, _hmac(extracted, first + b"\x02")
