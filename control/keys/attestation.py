"""Hardware attestation keys: a P-256 public key whose private half never leaves the hardware."""

from __future__ import annotations

from typing import ClassVar, Final, Self

from control.keys._text import KeyTextError, decode_text

__all__ = ["AttestationPublic"]

_POINT_BYTES: Final = 65
_UNCOMPRESSED: Final = 4


class AttestationPublic:
    """An uncompressed point of 65 bytes; text `hwattestpub:`, and "none" is the empty text."""

    __slots__ = ("_raw",)
    PREFIX: ClassVar[str] = "hwattestpub:"
    KIND: ClassVar[str] = "attestation key"

    def __init__(self, raw: bytes) -> None:
        if raw and (len(raw) != _POINT_BYTES or raw[0] != _UNCOMPRESSED):
            raise KeyTextError(f"{self.KIND}: an uncompressed P-256 point of 65 bytes expected")
        self._raw = bytes(raw)

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Parse the text form; raises KeyTextError."""
        return cls(decode_text(text, cls.PREFIX, _POINT_BYTES, cls.KIND) if text else b"")

    @property
    def is_zero(self) -> bool:
        """Whether there is no key."""
        return not self._raw

    def to_text(self) -> str:
        """Return prefix and 130 lowercase hex digits, or the empty text for no key."""
        return self.PREFIX + self._raw.hex() if self._raw else ""

    def __eq__(self, other: object) -> bool:
        if type(other) is not AttestationPublic:
            return NotImplemented
        return self._raw == other._raw

    def __hash__(self) -> int:
        return hash((self.KIND, self._raw))

    def __repr__(self) -> str:
        return f"AttestationPublic({self._raw[1:5].hex() or 'zero'})"
