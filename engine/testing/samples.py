"""Ports that stand for ranges of them: answers change only where some rule's ports begin or end."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["PortSamples"]


class PortSamples:
    """Chooses representative ports, given the port ranges of all rules."""

    def __init__(self, ranges: Iterable[tuple[int, int]]) -> None:
        self._bounds = sorted({bound for first, last in ranges for bound in (first, last + 1)})

    def of(self, asked: Iterable[tuple[int, int]]) -> list[int]:
        """Return, ascending, one port for each stretch of `asked` on which no answer changes."""
        samples: set[int] = set()
        for first, last in asked:
            samples.add(first)
            start, end = bisect_right(self._bounds, first), bisect_right(self._bounds, last)
            samples.update(self._bounds[start:end])
        return sorted(samples)
