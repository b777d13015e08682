"""Capability versions: one number that says what a node understands (control reference 2.8)."""

from __future__ import annotations

from typing import Final

__all__ = ["LATEST_KNOWN", "MINIMUM", "SPOKEN_BY_OUR_NODE", "is_supported", "refusal"]

MINIMUM: Final = 113
"""Client release 1.80. Everything that older ones need is left out of this package."""

LATEST_KNOWN: Final = 145
"""The newest version whose meaning is written down here; later ones are accepted unseen."""

SPOKEN_BY_OUR_NODE: Final = 113
"""What our node claims. A higher claim makes servers send what it would not honour."""


def is_supported(version: int) -> bool:
    """Return whether the server talks to a node of this version; no upper limit."""
    return version >= MINIMUM


def refusal(version: int) -> str:
    """Return the text that a refused node shows its user."""
    return (
        f"unsupported client version: {version}; this server needs capability version "
        f"{MINIMUM} (client release 1.80) or later: update the client and log in again"
    )
