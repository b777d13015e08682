"""Tailnet-lock keys: ed25519 keys that sign node keys and changes of the lock's own state."""

from __future__ import annotations

from hmac import compare_digest
from typing import TYPE_CHECKING, ClassVar, Final, Self

from nacl import bindings, exceptions

from control.keys._text import KeyTextError, decode_text

if TYPE_CHECKING:
    from control.keys._curve25519 import Entropy

__all__ = ["LockPrivate", "LockPublic"]

_SEED_BYTES: Final = 32


class LockPublic:
    """Verifies tailnet-lock signatures; text `nlpub:`, and `tlpub:` is read as the same."""

    __slots__ = ("_raw",)
    PREFIX: ClassVar[str] = "nlpub:"
    CLI_PREFIX: ClassVar[str] = "tlpub:"
    KIND: ClassVar[str] = "tailnet lock key"

    def __init__(self, raw: bytes) -> None:
        if len(raw) != _SEED_BYTES:
            raise ValueError(f"{self.KIND}: {_SEED_BYTES} bytes expected, got {len(raw)}")
        self._raw = bytes(raw)

    @classmethod
    def zero(cls) -> Self:
        """Return the key that stands for "none"."""
        return cls(bytes(_SEED_BYTES))

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Parse either prefix and 64 hex digits; raises KeyTextError."""
        prefix = cls.CLI_PREFIX if text.startswith(cls.CLI_PREFIX) else cls.PREFIX
        return cls(decode_text(text, prefix, _SEED_BYTES, cls.KIND))

    @property
    def raw(self) -> bytes:
        """The 32 bytes of the key, which are also its key ID."""
        return self._raw

    @property
    def is_zero(self) -> bool:
        """Whether this is the key that stands for "none"."""
        return not any(self._raw)

    def to_text(self) -> str:
        """Return `nlpub:` and 64 lowercase hex digits."""
        return self.PREFIX + self._raw.hex()

    def to_cli_text(self) -> str:
        """Return `tlpub:` and 64 lowercase hex digits, as people are shown it."""
        return self.CLI_PREFIX + self._raw.hex()

    def is_signature(self, signature: bytes, message: bytes) -> bool:
        """Return whether `signature` (64 bytes) over `message` is this key's."""
        try:
            bindings.crypto_sign_open(signature + message, self._raw)
        except (exceptions.BadSignatureError, ValueError):
            return False
        return True

    def __eq__(self, other: object) -> bool:
        if type(other) is not LockPublic:
            return NotImplemented
        return compare_digest(self._raw, other._raw)

    def __hash__(self) -> int:
        return hash((self.KIND, self._raw))

    def __str__(self) -> str:
        return self.to_text()

    def __repr__(self) -> str:
        return f"LockPublic({self._raw[:4].hex()}...)"


class LockPrivate:
    """Signs for the lock; text `nlpriv:`, then seed and public key as 128 hex digits."""

    __slots__ = ("_public", "_secret")
    PREFIX: ClassVar[str] = "nlpriv:"
    KIND: ClassVar[str] = "tailnet lock private key"

    def __init__(self, seed: bytes) -> None:
        public, self._secret = bindings.crypto_sign_seed_keypair(seed)
        self._public = LockPublic(public)

    @classmethod
    def generate(cls, entropy: Entropy) -> Self:
        """Draw a new key."""
        return cls(entropy(_SEED_BYTES))

    @classmethod
    def from_secret_text(cls, text: str) -> Self:
        """Parse the text form; raises KeyTextError, also where the two halves disagree."""
        raw = decode_text(text, cls.PREFIX, 2 * _SEED_BYTES, cls.KIND)
        key = cls(raw[:_SEED_BYTES])
        if not compare_digest(key._public.raw, raw[_SEED_BYTES:]):
            raise KeyTextError(f"{cls.KIND}: the public half does not belong to the seed")
        return key

    def to_secret_text(self) -> str:
        """Return the text form, for a file with mode 0600 and nothing else."""
        return self.PREFIX + self._secret.hex()

    @property
    def public(self) -> LockPublic:
        """The public half."""
        return self._public

    def sign(self, message: bytes) -> bytes:
        """Return the 64-byte ed25519 signature of `message`."""
        return bindings.crypto_sign(message, self._secret)[:64]

    def __repr__(self) -> str:
        return "LockPrivate(<redacted>)"
