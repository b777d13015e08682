"""Node keys: WireGuard's static key, DERP's address, and a node's name in control requests."""

from __future__ import annotations

from typing import ClassVar, Final, Self

from control.keys._curve25519 import Curve25519Private, Curve25519Public
from control.keys._text import KeyTextError

__all__ = ["NodePrivate", "NodePublic"]

_BINARY_PREFIX: Final = b"np"
_EXPIRED_PREFIX: Final = bytes.fromhex("6da774d5d774")


class NodePublic(Curve25519Public):
    """A node's public key; text `nodekey:`. Peers know it, so it authenticates nobody."""

    __slots__ = ()
    PREFIX: ClassVar[str] = "nodekey:"
    KIND: ClassVar[str] = "node key"

    @classmethod
    def from_binary(cls, data: bytes) -> Self:
        """Parse `np` and 32 bytes, the form inside tailnet-lock CBOR; raises KeyTextError."""
        if len(data) != len(_BINARY_PREFIX) + 32 or not data.startswith(_BINARY_PREFIX):
            raise KeyTextError("node key: the binary form is 'np' and 32 bytes")
        return cls(data[len(_BINARY_PREFIX) :])

    def to_binary(self) -> bytes:
        """Return `np` and the 32 bytes."""
        return _BINARY_PREFIX + self.raw

    def expired(self) -> NodePublic:
        """Return this key made unusable, as a node stores it for a peer that has expired.

        It prints as `[bad01]`. A node does this to its own copy; it never goes on the wire.
        """
        return NodePublic(_EXPIRED_PREFIX + self.raw[len(_EXPIRED_PREFIX) :])


class NodePrivate(Curve25519Private[NodePublic]):
    """The private half; replaced at re-login and after expiry."""

    __slots__ = ()
    KIND: ClassVar[str] = "node private key"
    PUBLIC: ClassVar[type[Curve25519Public]] = NodePublic
