from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from engine.netset import intervals

if TYPE_CHECKING:
    from engine.netset.intervals import Bounds

A: Bounds = (5, 10, 20, 30)


def test_spans_that_overlap_or_touch_become_one() -> None:
    assert intervals.from_spans([(20, 29), (5, 7), (8, 9), (6, 6)]) == A


def test_a_span_inside_another_adds_nothing() -> None:
    assert intervals.from_spans([(0, 100), (5, 7)]) == (0, 101)


def test_no_span_is_the_empty_set() -> None:
    assert intervals.from_spans([]) == ()


@pytest.mark.parametrize(
    ("value", "inside"),
    [(4, False), (5, True), (9, True), (10, False), (20, True), (29, True), (30, False)],
)
def test_both_ends_of_a_span_are_inside(value: int, inside: bool) -> None:
    assert intervals.contains(A, value) is inside


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        ((10, 20), (5, 30)),
        ((0, 5), (0, 10, 20, 30)),
        ((12, 15), (5, 10, 12, 15, 20, 30)),
        ((0, 40), (0, 40)),
        ((9, 21), (5, 30)),
        ((), A),
    ],
)
def test_union(other: Bounds, expected: Bounds) -> None:
    assert intervals.union(A, other) == expected


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        ((5, 10), (20, 30)),
        ((6, 8), (5, 6, 8, 10, 20, 30)),
        ((8, 25), (5, 8, 25, 30)),
        ((10, 20), A),
        ((0, 40), ()),
        ((), A),
    ],
)
def test_subtract(other: Bounds, expected: Bounds) -> None:
    assert intervals.subtract(A, other) == expected


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        ((10, 20), ()),
        ((9, 21), (9, 10, 20, 21)),
        ((0, 40), A),
        ((22, 24, 26, 28), (22, 24, 26, 28)),
        ((), ()),
    ],
)
def test_intersect(other: Bounds, expected: Bounds) -> None:
    assert intervals.intersect(A, other) == expected


def test_the_complement_ends_at_the_top_of_the_universe() -> None:
    assert intervals.complement(A, 30) == (0, 5, 10, 20, 30, 31)


def test_touching_sets_do_not_overlap() -> None:
    assert not intervals.overlaps(A, (10, 20))


def test_sets_that_share_one_element_overlap() -> None:
    assert intervals.overlaps(A, (9, 20))


def test_a_set_is_no_subset_when_its_tail_leaves() -> None:
    assert not intervals.is_subset((6, 11), A)


def test_count_adds_up_the_spans() -> None:
    assert intervals.count(A) == 15
