from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from engine.bits import members


def test_members_come_ascending() -> None:
    assert list(members(0b1010_0001)) == [0, 5, 7]


def test_the_empty_set_has_none() -> None:
    assert list(members(0)) == []


@given(st.frozensets(st.integers(0, 20_000), max_size=30))
def test_members_are_the_numbers_put_in(numbers: frozenset[int]) -> None:
    assert list(members(sum(1 << number for number in numbers))) == sorted(numbers)
