"""Sets of integers as sorted intervals, the one algebra under address sets and port sets.

A set is a strictly increasing tuple of *bounds*: positions where membership flips, starting from
"outside". `(5, 10, 20, 21)` is the set {5..9, 20}. Intervals that touch share no bound, so equal
sets are equal tuples, and membership is the parity of one binary search. The size of a set depends
on its number of intervals only: the whole of IPv6 is `(0, 2**128)`.

Binary operations walk the operand with fewer bounds and splice slices of the other one, because
the usual case is a handful of intervals against a large set.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = [
    "Bounds",
    "complement",
    "contains",
    "count",
    "from_spans",
    "intersect",
    "is_subset",
    "overlaps",
    "spans",
    "subtract",
    "union",
]

Bounds = tuple[int, ...]


def from_spans(pairs: Iterable[tuple[int, int]]) -> Bounds:
    """Build a set from (first, last) pairs, both included, in any order, overlapping or not."""
    ordered = sorted(pairs)
    if not ordered:
        return ()
    bounds: list[int] = []
    start, last = ordered[0]
    for first, other_last in ordered:
        if first > last + 1:
            bounds += (start, last + 1)
            start = first
            last = other_last
        elif other_last > last:
            last = other_last
    bounds += (start, last + 1)
    return tuple(bounds)


def spans(a: Bounds) -> Iterator[tuple[int, int]]:
    """Yield the (first, last) pairs of maximal intervals, both included, ascending."""
    for start, stop in _halves(a):
        yield start, stop - 1


def count(a: Bounds) -> int:
    """Return how many integers are in the set."""
    return sum(a[1::2]) - sum(a[::2])


def contains(a: Bounds, value: int) -> bool:
    """Tell whether `value` is in the set."""
    return bool(bisect_right(a, value) & 1)


def union(a: Bounds, b: Bounds) -> Bounds:
    """Return what is in either set."""
    many, few = (a, b) if len(a) >= len(b) else (b, a)
    out: list[int] = []
    done = 0
    for start, stop in _halves(few):
        # Bounds from start to stop, both included, vanish inside the interval or merge with it.
        i, j = bisect_left(many, start), bisect_right(many, stop)
        out += many[done:i]
        if not i & 1:
            out.append(start)
        if not j & 1:
            out.append(stop)
        done = j
    out += many[done:]
    return tuple(out)


def subtract(a: Bounds, b: Bounds) -> Bounds:
    """Return what is in `a` and not in `b`."""
    out: list[int] = []
    done = 0
    for start, stop in _halves(b):
        i, j = bisect_left(a, start), bisect_right(a, stop)
        out += a[done:i]
        if i & 1:
            out.append(start)
        if j & 1:
            out.append(stop)
        done = j
    out += a[done:]
    return tuple(out)


def intersect(a: Bounds, b: Bounds) -> Bounds:
    """Return what is in both sets."""
    many, few = (a, b) if len(a) >= len(b) else (b, a)
    out: list[int] = []
    for start, stop in _halves(few):
        i, j = bisect_right(many, start), bisect_left(many, stop)
        if i & 1:
            out.append(start)
        out += many[i:j]
        if j & 1:
            out.append(stop)
    return tuple(out)


def complement(a: Bounds, top: int) -> Bounds:
    """Return what of 0 to `top` is not in the set."""
    return subtract((0, top + 1), a)


def overlaps(a: Bounds, b: Bounds) -> bool:
    """Tell whether the sets share an element."""
    many, few = (a, b) if len(a) >= len(b) else (b, a)
    for start, stop in _halves(few):
        i = bisect_right(many, start)
        if i & 1 or (i < len(many) and many[i] < stop):
            return True
    return False


def is_subset(a: Bounds, b: Bounds) -> bool:
    """Tell whether all of `a` is in `b`."""
    for start, stop in _halves(a):
        i = bisect_right(b, start)
        if not i & 1 or b[i] < stop:
            return False
    return True


def _halves(a: Bounds) -> Iterator[tuple[int, int]]:
    return zip(a[::2], a[1::2], strict=True)
