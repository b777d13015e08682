"""Sets of small numbers as Python integers, bit `i` for number `i`.

A set of ten thousand costs about a kilobyte, and a union of two is one operation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["members"]


def members(mask: int) -> Iterator[int]:
    """Yield the numbers in a set, ascending."""
    while mask:
        low = mask & -mask
        yield low.bit_length() - 1
        mask ^= low
