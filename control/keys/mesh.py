"""Mesh keys: the secret that relays of one region share; 64 hex digits without a prefix."""

from __future__ import annotations

from hmac import compare_digest
from typing import TYPE_CHECKING, ClassVar, Self

from control.keys._text import decode_text

if TYPE_CHECKING:
    from control.keys._curve25519 import Entropy

__all__ = ["MeshKey"]


class MeshKey:
    """A shared secret of 32 bytes."""

    __slots__ = ("_raw",)
    KIND: ClassVar[str] = "mesh key"

    def __init__(self, raw: bytes) -> None:
        if len(raw) != 32:
            raise ValueError(f"{self.KIND}: 32 bytes expected, got {len(raw)}")
        self._raw = bytes(raw)

    @classmethod
    def generate(cls, entropy: Entropy) -> Self:
        """Draw a new key."""
        return cls(entropy(32))

    @classmethod
    def from_secret_text(cls, text: str) -> Self:
        """Parse 64 hex digits; raises KeyTextError, which never quotes the text."""
        return cls(decode_text(text, "", 32, cls.KIND))

    def to_secret_text(self) -> str:
        """Return 64 lowercase hex digits."""
        return self._raw.hex()

    def __eq__(self, other: object) -> bool:
        if type(other) is not MeshKey:
            return NotImplemented
        return compare_digest(self._raw, other._raw)

    def __hash__(self) -> int:
        # Secrets are compared, not looked up: one bucket gives nothing away about the bytes.
        return hash(self.KIND)

    def __repr__(self) -> str:
        return "MeshKey(<redacted>)"
