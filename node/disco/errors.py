"""What reading a disco packet can come to."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["DiscoError", "DiscoFault"]


class DiscoFault(StrEnum):
    """Why a packet says nothing to us. Values label counters."""

    NOT_DISCO = "not_disco"
    SHORT = "short"
    UNKNOWN_SENDER = "unknown_sender"
    BAD_BOX = "bad_box"
    UNKNOWN_TYPE = "unknown_type"
    OWN_KEY = "own_key"


class DiscoError(Exception):
    """A packet that must be dropped and counted."""

    def __init__(self, fault: DiscoFault) -> None:
        super().__init__(fault.value)
        self.fault = fault
