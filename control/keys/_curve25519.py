"""What the kinds of Curve25519 keys share: 32 bytes, a text form, equality in constant time.

Kinds are subclasses and never compare equal to one another, nor convert into one another.
"""

from __future__ import annotations

from base64 import standard_b64encode
from collections.abc import Callable
from hmac import compare_digest
from typing import ClassVar, Final, Generic, Self, TypeVar

from nacl import bindings

from control.keys._box import Box
from control.keys._text import decode_text

__all__ = ["Curve25519Private", "Curve25519Public", "Entropy", "LowOrderPointError"]

Entropy = Callable[[int], bytes]
"""Gives that many unpredictable bytes; `os.urandom` outside tests."""

KEY_BYTES: Final = 32


class LowOrderPointError(ValueError):
    """A public key whose shared secret with any key is zero; never a real peer's."""


class Curve25519Public:
    """A public key. All zero bytes mean "none" on the wire and are legal there."""

    __slots__ = ("_raw",)
    PREFIX: ClassVar[str]
    KIND: ClassVar[str]

    def __init__(self, raw: bytes) -> None:
        if len(raw) != KEY_BYTES:
            raise ValueError(f"{self.KIND}: {KEY_BYTES} bytes expected, got {len(raw)}")
        self._raw = bytes(raw)

    @classmethod
    def zero(cls) -> Self:
        """Return the key that stands for "none"."""
        return cls(bytes(KEY_BYTES))

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Parse prefix and 64 hex digits; raises KeyTextError, which never quotes the text."""
        return cls(decode_text(text, cls.PREFIX, KEY_BYTES, cls.KIND))

    @property
    def raw(self) -> bytes:
        """The 32 bytes of the key."""
        return self._raw

    @property
    def is_zero(self) -> bool:
        """Whether this is the key that stands for "none"."""
        return not any(self._raw)

    def to_text(self) -> str:
        """Return the prefix and 64 lowercase hex digits."""
        return self.PREFIX + self._raw.hex()

    def short(self) -> str:
        """Return a form for logs: five characters of base64 in brackets, empty for zero."""
        if self.is_zero:
            return ""
        return f"[{standard_b64encode(self._raw)[:5].decode('ascii')}]"

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return compare_digest(self._raw, other._raw)

    def __hash__(self) -> int:
        return hash((self.KIND, self._raw))

    def __str__(self) -> str:
        return self.to_text()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.short() or 'zero'})"


_Public = TypeVar("_Public", bound=Curve25519Public)


class Curve25519Private(Generic[_Public]):
    """A private key, clamped. Only `to_secret_text` shows it."""

    __slots__ = ("_public", "_raw")
    PREFIX: ClassVar[str] = "privkey:"
    KIND: ClassVar[str]
    PUBLIC: ClassVar[type[Curve25519Public]]

    def __init__(self, raw: bytes) -> None:
        if len(raw) != KEY_BYTES:
            raise ValueError(f"{self.KIND}: {KEY_BYTES} bytes expected, got {len(raw)}")
        self._raw = _clamped(raw)
        self._public: _Public | None = None

    @classmethod
    def generate(cls, entropy: Entropy) -> Self:
        """Draw a new key."""
        return cls(entropy(KEY_BYTES))

    @classmethod
    def from_secret_text(cls, text: str) -> Self:
        """Parse `privkey:` and 64 hex digits; raises KeyTextError, which never quotes the text.

        The text does not say which kind of private key it is: keep kinds in separate places.
        """
        return cls(decode_text(text, cls.PREFIX, KEY_BYTES, cls.KIND))

    def to_secret_text(self) -> str:
        """Return the text form, for a file with mode 0600 and nothing else."""
        return self.PREFIX + self._raw.hex()

    @property
    def public(self) -> _Public:
        """The public half."""
        if self._public is None:
            made = self.PUBLIC(bindings.crypto_scalarmult_base(self._raw))
            self._public = made  # type: ignore[assignment]  # PUBLIC is what binds _Public
        return self._public  # type: ignore[return-value]  # set just above

    def exchange(self, peer: Curve25519Public) -> bytes:
        """Return the 32-byte X25519 secret with `peer`; raises LowOrderPointError."""
        try:
            return bindings.crypto_scalarmult(self._raw, peer.raw)
        except RuntimeError:
            # libsodium refuses an all-zero secret, which is what low-order points give.
            raise LowOrderPointError(f"{self.KIND}: the peer's key is a low-order point") from None

    def box_with(self, peer: _Public) -> Box:
        """Return the sealing box between this key and a peer's of the same kind."""
        return Box(self._raw, peer.raw)

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return compare_digest(self._raw, other._raw)

    def __hash__(self) -> int:
        return hash((self.KIND, self.public))

    def __repr__(self) -> str:
        return f"{type(self).__name__}(<redacted>)"


def _clamped(raw: bytes) -> bytes:
    """Fix the bits that X25519 ignores, so that one key has one stored form (RFC 7748 5)."""
    edited = bytearray(raw)
    edited[0] &= 248
    edited[31] = (edited[31] & 127) | 64
    return bytes(edited)
