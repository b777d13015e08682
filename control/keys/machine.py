"""Machine keys: the ts2021 identity of one installation, and of the control server itself.

A machine key is made once and outlives logins; the server's own (its control key) is permanent,
because clients keep it for as long as their process lives.
"""

from __future__ import annotations

from typing import ClassVar

from control.keys._curve25519 import Curve25519Private, Curve25519Public

__all__ = ["MachinePrivate", "MachinePublic"]


class MachinePublic(Curve25519Public):
    """Who speaks on a control connection; text `mkey:`."""

    __slots__ = ()
    PREFIX: ClassVar[str] = "mkey:"
    KIND: ClassVar[str] = "machine key"


class MachinePrivate(Curve25519Private[MachinePublic]):
    """The Noise static key of an installation or of a control server."""

    __slots__ = ()
    KIND: ClassVar[str] = "machine private key"
    PUBLIC: ClassVar[type[Curve25519Public]] = MachinePublic
