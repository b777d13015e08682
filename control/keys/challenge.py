"""Challenge keys: the server makes one for each control connection and sends it early."""

from __future__ import annotations

from typing import ClassVar

from control.keys._curve25519 import Curve25519Private, Curve25519Public

__all__ = ["ChallengePrivate", "ChallengePublic"]


class ChallengePublic(Curve25519Public):
    """What the early payload carries; text `chalpub:`."""

    __slots__ = ()
    PREFIX: ClassVar[str] = "chalpub:"
    KIND: ClassVar[str] = "challenge key"


class ChallengePrivate(Curve25519Private[ChallengePublic]):
    """The private half; lives as long as its connection."""

    __slots__ = ()
    KIND: ClassVar[str] = "challenge private key"
    PUBLIC: ClassVar[type[Curve25519Public]] = ChallengePublic
