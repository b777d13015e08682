"""Logins that wait: bounded, ageing, decided once."""

from __future__ import annotations

import itertools

import pytest

from control.identity.logins import LIFETIME_S, MAX_LOGINS, MAX_OF_MACHINE, Login, Logins, Outcome
from control.wire import RegisterRequest
from tests.support.records import node_record


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def logins(clock: Clock) -> Logins:
    counter = itertools.count()
    return Logins(lambda length: next(counter).to_bytes(length, "big"), clock)


def start(logins: Logins, number: int) -> Login:
    node = node_record(number)
    return logins.start(node.machine_key, RegisterRequest(node_key=node.node_key), 113)


async def test_login_is_found_until_its_time_is_over(logins: Logins, clock: Clock) -> None:
    login = start(logins, 1)
    found_before = logins.find(login.id)
    clock.now = LIFETIME_S
    assert (found_before, logins.find(login.id)) == (login, None)
    assert logins.find("hskey-authreq-other") is None


async def test_identifier_is_long_enough_not_to_be_guessed(logins: Logins) -> None:
    assert len(start(logins, 1).id.removeprefix("hskey-authreq-")) == 24


async def test_second_decision_changes_nothing(logins: Logins) -> None:
    login = start(logins, 1)
    assert login.decide(Outcome(node_id=1))
    assert not login.decide(Outcome(error="no"))
    assert await login.decided == Outcome(node_id=1)


async def test_number_is_bounded_and_the_oldest_goes(logins: Logins) -> None:
    first = start(logins, 0)
    for number in range(1, MAX_LOGINS + 1):
        start(logins, number)
    assert len(logins) == MAX_LOGINS
    assert logins.find(first.id) is None
    assert first.decided.cancelled()


async def test_one_machine_pushes_out_its_own_logins_only(logins: Logins) -> None:
    others = start(logins, 2)
    own = [start(logins, 1) for _ in range(MAX_OF_MACHINE + 1)]
    found = [logins.find(login.id) is not None for login in own]
    assert found == [False] + [True] * MAX_OF_MACHINE
    assert logins.find(others.id) is others
