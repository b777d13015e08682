"""Hashes, key derivation, AEAD and Diffie-Hellman, each in the form that the handshake uses.

Relay reference 9.1: BLAKE2s-256, HMAC-BLAKE2s, ChaCha20-Poly1305 with a 64-bit counter nonce,
X25519.
"""

from __future__ import annotations

import hashlib
import hmac

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from nacl.bindings import (
    crypto_aead_xchacha20poly1305_ietf_decrypt,
    crypto_aead_xchacha20poly1305_ietf_encrypt,
    crypto_scalarmult,
    crypto_scalarmult_base,
)
from nacl.exceptions import CryptoError

KEY_BYTES = 32
TAG_BYTES = 16
ZERO_KEY = bytes(KEY_BYTES)


class CryptographyRefusedError(Exception):
    """A tag did not verify, or a public key has low order: treat the message as noise."""


def hash_of(*parts: bytes) -> bytes:
    """BLAKE2s-256 of the concatenation."""
    return hashlib.blake2s(b"".join(parts)).digest()


def mac(key: bytes, message: bytes) -> bytes:
    """Keyed BLAKE2s-128."""
    return hashlib.blake2s(message, key=key, digest_size=16).digest()


def kdf(count: int, key: bytes, material: bytes) -> list[bytes]:
    """Derive `count` keys of 32 bytes: HKDF with HMAC-BLAKE2s and no info."""
    pseudo_random_key = hmac.digest(key, material, "blake2s")
    keys: list[bytes] = []
    previous = b""
    for position in range(1, count + 1):
        previous = hmac.digest(pseudo_random_key, previous + bytes([position]), "blake2s")
        keys.append(previous)
    return keys


def nonce(counter: int) -> bytes:
    """Return the 12-byte nonce of a counter."""
    return bytes(4) + counter.to_bytes(8, "little")


def seal(key: bytes, counter: int, plaintext: bytes, associated: bytes) -> bytes:
    """Encrypt and authenticate; the tag follows the ciphertext."""
    return ChaCha20Poly1305(key).encrypt(nonce(counter), plaintext, associated)


def unseal(key: bytes, counter: int, ciphertext: bytes, associated: bytes) -> bytes:
    """Undo `seal`. Raises CryptographyRefusedError when the tag does not verify."""
    try:
        return ChaCha20Poly1305(key).decrypt(nonce(counter), ciphertext, associated)
    except InvalidTag:
        raise CryptographyRefusedError from None


def xseal(key: bytes, long_nonce: bytes, plaintext: bytes, associated: bytes) -> bytes:
    """XChaCha20-Poly1305 with a 24-byte nonce: cookies only."""
    return crypto_aead_xchacha20poly1305_ietf_encrypt(plaintext, associated, long_nonce, key)


def xunseal(key: bytes, long_nonce: bytes, ciphertext: bytes, associated: bytes) -> bytes:
    """Undo `xseal`. Raises CryptographyRefusedError when the tag does not verify."""
    try:
        return crypto_aead_xchacha20poly1305_ietf_decrypt(ciphertext, associated, long_nonce, key)
    except CryptoError:
        raise CryptographyRefusedError from None


def public_of(private_key: bytes) -> bytes:
    """Return the X25519 public key."""
    return crypto_scalarmult_base(private_key)


def shared_secret(private_key: bytes, public_key: bytes) -> bytes:
    """X25519. Raises CryptographyRefusedError when the public key has low order."""
    try:
        secret = crypto_scalarmult(private_key, public_key)
    except (CryptoError, RuntimeError):
        raise CryptographyRefusedError from None
    if secret == ZERO_KEY:
        raise CryptographyRefusedError
    return secret
