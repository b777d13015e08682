"""One dimension of a filter: which clauses a value of it satisfies.

The clauses that hold an address (or a port) only change at the bounds of their sets. An axis
therefore cuts the number line at every bound and notes one bitmask of clauses per piece, so that
a lookup is one binary search however many clauses there are (the bit vectors of Lakshman and
Stiliadis, 1998). Values met before are answered by a dictionary.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from engine.netset.intervals import Bounds

__all__ = ["Axis"]

_REMEMBERED = 1 << 15
"""Values to remember for each axis; past it all are forgotten at once."""


class Axis(dict[int, int]):
    """A step function from numbers to bitmasks: `axis[value]` is defined for every value.

    The dictionary holds the values asked for lately, so it grows by being read, up to a bound.
    """

    __slots__ = ("_bounds", "_masks")

    def __init__(self, members: Iterable[tuple[Bounds, int]], always: int = 0) -> None:
        """Build from pairs of a set and the bitmask that holds on it; `always` holds everywhere."""
        super().__init__()
        flips: dict[int, int] = {}
        for held, mask in _merge_equal_sets(members).items():
            for bound in held:
                flips[bound] = flips.get(bound, 0) ^ mask
        self._bounds = sorted(flips)
        """Where the mask changes, ascending."""
        self._masks = [always]
        """`masks[i]` holds from `bounds[i - 1]` up to below `bounds[i]`."""
        # Far-apart pieces often satisfy the same clauses; they share one number.
        interned: dict[int, int] = {}
        mask = always
        for bound in self._bounds:
            mask ^= flips[bound]
            self._masks.append(interned.setdefault(mask, mask))

    def __missing__(self, value: int) -> int:
        if len(self) >= _REMEMBERED:
            self.clear()
        mask = self[value] = self._masks[bisect_right(self._bounds, value)]
        return mask


def _merge_equal_sets(members: Iterable[tuple[Bounds, int]]) -> dict[Bounds, int]:
    merged: dict[Bounds, int] = {}
    for held, mask in members:
        merged[held] = merged.get(held, 0) | mask
    return merged
