"""Tokens that work once."""

from __future__ import annotations

from itertools import count

import pytest

from control.identity.one_time import LIFETIME_S, MAX_ENTRIES, MAX_OF_OWNER, OneTime


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def table(clock: Clock) -> OneTime[int]:
    numbers = count()
    return OneTime(lambda length: next(numbers).to_bytes(length, "big"), clock)


def test_token_gives_its_value_once(table: OneTime[int]) -> None:
    token = table.put("ann", 7)
    assert (table.take(token), table.take(token)) == (7, None)


@pytest.mark.parametrize("token", ["", "0", "\udcff", "0" * 64])
def test_other_tokens_give_nothing(table: OneTime[int], token: str) -> None:
    table.put("bo", 1)
    table.take("0" * 64)
    assert table.take(token) is None


def test_token_ends(table: OneTime[int], clock: Clock) -> None:
    token = table.put("ann", 7)
    clock.now = LIFETIME_S
    assert table.take(token) is None


def test_old_entries_take_no_room(table: OneTime[int], clock: Clock) -> None:
    table.put("ann", 7)
    clock.now = LIFETIME_S
    table.put("bo", 8)
    assert len(table) == 1


def test_owner_pushes_out_own_tokens_only(table: OneTime[int]) -> None:
    other = table.put("bo", 0)
    own = [table.put("ann", number) for number in range(MAX_OF_OWNER + 1)]
    assert table.take(own[0]) is None
    assert table.take(own[1]) == 1
    assert table.take(other) == 0


def test_number_of_entries_is_bounded(table: OneTime[int]) -> None:
    for owner in range(MAX_ENTRIES // 4 + 1):
        for _ in range(4):
            table.put(owner, owner)
    assert len(table) == MAX_ENTRIES
