"""Disco keys: they seal path-discovery messages, and are new for every run of a node."""

from __future__ import annotations

from typing import ClassVar

from control.keys._curve25519 import Curve25519Private, Curve25519Public

__all__ = ["DiscoPrivate", "DiscoPublic"]


class DiscoPublic(Curve25519Public):
    """A node's disco key; text `discokey:`."""

    __slots__ = ()
    PREFIX: ClassVar[str] = "discokey:"
    KIND: ClassVar[str] = "disco key"

    def short(self) -> str:
        """Return `d:` and the first 16 hex digits, empty for zero."""
        return "" if self.is_zero else f"d:{self.raw[:8].hex()}"


class DiscoPrivate(Curve25519Private[DiscoPublic]):
    """The private half; lives in memory only."""

    __slots__ = ()
    KIND: ClassVar[str] = "disco private key"
    PUBLIC: ClassVar[type[Curve25519Public]] = DiscoPublic
