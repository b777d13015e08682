"""The nearest of some names to one that was not found, for help texts."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["nearest"]

_MAX_LENGTH = 100
"""Longer names are not compared: the cost is quadratic and a typing slip is not in question."""


def nearest(name: str, candidates: Iterable[str]) -> str | None:
    """Return the candidate most like `name`, or None where none is close."""
    if len(name) > _MAX_LENGTH:
        return None
    # Imported here: only a policy with a mistake in it pays for the import.
    import difflib  # noqa: PLC0415

    found = difflib.get_close_matches(name, list(candidates), n=1, cutoff=0.7)
    return found[0] if found else None
