"""Authenticated sealing between two Curve25519 keys (NaCl box: XSalsa20-Poly1305).

Layout of what is sealed: 24 bytes of nonce, then the ciphertext with its 16-byte tag in front.
DERP and disco use it; the ts2021 channel does not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nacl import bindings, exceptions

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Box", "BoxOpenError"]

_NONCE_BYTES = 24
_OVERHEAD_BYTES = _NONCE_BYTES + 16


class BoxOpenError(ValueError):
    """What was received was not sealed with this pair of keys, or was changed on the way."""


class Box:
    """The shared secret of a private and a public key, computed once."""

    __slots__ = ("_shared",)

    def __init__(self, private: bytes, public: bytes) -> None:
        try:
            self._shared = bindings.crypto_box_beforenm(public, private)
        except exceptions.CryptoError:
            raise BoxOpenError("box: the peer's key is a low-order point") from None

    def __repr__(self) -> str:
        return "Box(<redacted>)"

    def seal(self, cleartext: bytes, entropy: Callable[[int], bytes]) -> bytes:
        """Return a fresh nonce followed by the sealed `cleartext`."""
        nonce = entropy(_NONCE_BYTES)
        return nonce + bindings.crypto_box_easy_afternm(cleartext, nonce, self._shared)

    def open(self, sealed: bytes) -> bytes:
        """Return the cleartext; raises BoxOpenError if it does not authenticate."""
        if len(sealed) < _OVERHEAD_BYTES:
            raise BoxOpenError("box: shorter than a nonce and a tag")
        try:
            return bindings.crypto_box_open_easy_afternm(
                bytes(sealed[_NONCE_BYTES:]), bytes(sealed[:_NONCE_BYTES]), self._shared
            )
        except exceptions.CryptoError:
            raise BoxOpenError("box: does not authenticate") from None
