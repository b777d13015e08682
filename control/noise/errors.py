"""What goes wrong on a ts2021 channel. Every one of these ends the connection."""

from __future__ import annotations

from enum import Enum

__all__ = ["HandshakeError", "HandshakeFault", "NoiseError", "RecordError"]


class NoiseError(Exception):
    """Root of what this package raises; always the peer's fault, never ours."""


class HandshakeFault(Enum):
    """Why a handshake failed. The value is the text an error frame may carry.

    A fault without a text is answered by closing the connection and saying nothing.
    """

    INITIATION_SIZE = "wrong handshake initiation size"
    INITIATION_TYPE = "unexpected handshake message type"
    INITIATION_LENGTH = "wrong handshake initiation length"
    RESPONSE_SHAPE = "unexpected handshake response"
    SERVER_REFUSED = "the server refused the handshake"
    LOW_ORDER_POINT = "low-order public key"
    NOT_AUTHENTIC = "handshake message does not authenticate"

    @property
    def is_told_to_the_peer(self) -> bool:
        """Whether a server says so in an error frame; only what is wrong with the shape."""
        return self in {
            HandshakeFault.INITIATION_SIZE,
            HandshakeFault.INITIATION_TYPE,
            HandshakeFault.INITIATION_LENGTH,
        }


class HandshakeError(NoiseError):
    """The handshake cannot go on. `hint` is unauthenticated text from the server, if any."""

    def __init__(self, fault: HandshakeFault, hint: str = "") -> None:
        super().__init__(f"{fault.value}: {hint!r}" if hint else fault.value)
        self.fault = fault
        self.hint = hint


class RecordError(NoiseError):
    """A record of another type, too long, too short, or that does not authenticate."""
