"""What the control server raises for its callers to handle."""

from __future__ import annotations

__all__ = [
    "AlreadyExistsError",
    "ControlError",
    "InvalidRequestError",
    "NotFoundError",
    "StaleError",
]


class ControlError(Exception):
    """Root of the room. The text is for the person who asked, and never holds a secret."""


class NotFoundError(ControlError):
    """Nothing has this name or number."""


class AlreadyExistsError(ControlError):
    """The name, number or key is taken, or the thing is still in use."""


class InvalidRequestError(ControlError):
    """What was asked for makes no sense or is not allowed; the text says how to put it right."""


class StaleError(ControlError):
    """Somebody else changed it since the caller looked."""
