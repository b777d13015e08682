"""Port guessing: the arithmetic behind it and the manners it keeps."""

from __future__ import annotations

from ipaddress import IPv4Address
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.paths.birthday import (
    ANSWER_S,
    BURST,
    LONGEST_S,
    MAX_GUESSES,
    OPEN_S,
    PACKETS_PER_SECOND,
    SOCKETS,
    PortGuesser,
    SocketSpread,
    hit_probability,
)
from node.transport.endpoint import Endpoint
from tests.support.relay_pair import SeededEntropy

HARD = IPv4Address("203.0.113.50")
EASY = Endpoint.parse("203.0.113.60:4000")
START = 987_654.3
waits = st.lists(st.floats(0.0, 3.0), max_size=60)


@pytest.mark.parametrize(
    ("guesses", "percent"),
    [(64, 22.5), (128, 39.9), (174, 50.0), (256, 63.9), (512, 87.0), (1024, 98.4)],
)
def test_probability_is_the_known_one(guesses: int, percent: float) -> None:
    assert hit_probability(guesses) * 100 == pytest.approx(percent, abs=0.1)


def test_round_that_is_not_disturbed_makes_every_guess() -> None:
    guesser = PortGuesser(SeededEntropy(), HARD, START)
    now, ports, transactions = START, [], set()
    while not guesser.is_over(now):
        for guess in guesser.due(now):
            assert guess.endpoint.ip == HARD
            ports.append(guess.endpoint.port)
            transactions.add(guess.transaction)
        now = max(now, guesser.deadline())
    # Rounding may cost the guess that is due as the time ends.
    assert len(ports) >= MAX_GUESSES - 1
    assert len(set(ports)) == len(ports) == len(transactions)
    assert all(1024 <= port <= 65_535 for port in ports)
    assert now <= START + LONGEST_S + ANSWER_S + 0.1


def test_guess_is_known_by_its_transaction_alone() -> None:
    guesser = PortGuesser(SeededEntropy(), HARD, START)
    [guess] = guesser.due(START)
    assert guesser.answered(guess.transaction) == guess
    assert guesser.answered(b"x" * 12) is None


def test_every_socket_sends_once_and_all_stay_open_for_a_whole_round_of_guesses() -> None:
    spread = SocketSpread(EASY, range(7, 7 + SOCKETS), START)
    now = START
    sent: list[int] = list(spread.due(now))
    while not spread.is_open:
        now = max(now, spread.deadline())
        sent += spread.due(now)
    assert sent == list(range(7, 7 + SOCKETS))
    assert spread.deadline() == now + OPEN_S
    assert not spread.is_over(now + LONGEST_S)
    assert spread.is_over(now + OPEN_S)


@given(waits)
def test_no_wake_up_however_late_breaks_the_budget(waits: list[float]) -> None:
    guesser = PortGuesser(SeededEntropy(), HARD, START)
    spread = SocketSpread(EASY, range(1, 1 + SOCKETS), START)
    now = START
    sent: list[tuple[float, int]] = []
    opened: list[tuple[float, int]] = []
    for wait in waits:
        now += wait
        sent.append((now, len(guesser.due(now))))
        opened.append((now, len(spread.due(now))))
    for made, most in ((sent, MAX_GUESSES), (opened, SOCKETS)):
        assert sum(count for _, count in made) <= most
        assert all(count == 0 for at, count in made if at >= START + LONGEST_S)
        assert all(count <= BURST for _, count in made)
        for first in range(len(made)):
            total = 0
            for at, count in made[first:]:
                total += count
                assert total <= (at - made[first][0]) * PACKETS_PER_SECOND + BURST + 1e-3


@given(waits)
def test_deadline_never_lies_behind_what_was_served(waits: list[float]) -> None:
    guesser = PortGuesser(SeededEntropy(), HARD, START)
    now, seen = START, []
    for wait in waits:
        now += wait
        guesser.due(now)
        if not guesser.is_over(now):
            assert guesser.deadline() >= now
            seen.append(guesser.deadline())
    assert all(before <= after for before, after in pairwise(seen))
