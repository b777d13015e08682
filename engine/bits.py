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
    # Text search is linear in the size of the set's range; clearing one bit after the other is not.
    digits = f"{mask:b}"[::-1]
    at = digits.find("1")
    while at >= 0:
        yield at
        at = digits.find("1", at + 1)
