"""Port guessing: the arithmetic behind it and the manners it keeps."""

from __future__ import annotations

from ipaddress import IPv4Address

import pytest

from node.paths.birthday import (
    GUESSES_PER_SECOND,
    MAX_GUESSES,
    BirthdayProber,
    Role,
    hit_probability,
    role_for,
)
from tests.support.relay_pair import SeededEntropy

HARD = IPv4Address("203.0.113.50")


@pytest.mark.parametrize(
    ("guesses", "percent"),
    [(64, 22.5), (128, 39.9), (174, 50.0), (256, 63.9), (512, 87.0), (1024, 98.4)],
)
def test_probability_is_the_known_one(guesses: int, percent: float) -> None:
    assert hit_probability(guesses) * 100 == pytest.approx(percent, abs=0.1)


def test_hard_side_opens_sockets_and_easy_side_guesses() -> None:
    hard = role_for(is_own_nat_hard=True, is_peer_nat_hard=False)
    easy = role_for(is_own_nat_hard=False, is_peer_nat_hard=True)
    assert hard is not None
    assert easy is not None
    assert (hard.role, easy.role) == (Role.OPEN_SOCKETS, Role.GUESS)


@pytest.mark.parametrize("is_hard", [False, True])
def test_like_and_like_do_not_guess(is_hard: bool) -> None:
    assert role_for(is_own_nat_hard=is_hard, is_peer_nat_hard=is_hard) is None


def test_guesses_are_distinct_bounded_and_paced() -> None:
    prober = BirthdayProber(SeededEntropy())
    start = 987_654.3
    assert prober.start(HARD, start)
    seen = []
    for _ in range(MAX_GUESSES):
        due = prober.deadline()
        assert due is not None
        seen += prober.due(due)
        assert len(seen) <= (due - start) * GUESSES_PER_SECOND + 1.001
    assert not prober.is_running
    assert len(set(seen)) == len(seen) == MAX_GUESSES
    assert all(1024 <= guess.port <= 65_535 for guess in seen)
    assert prober.deadline() is None


def test_late_timer_does_not_become_a_burst_beyond_the_cap() -> None:
    prober = BirthdayProber(SeededEntropy(), max_guesses=10)
    prober.start(HARD, 0.0)
    assert len(prober.due(1000.0)) == 10
    assert prober.due(2000.0) == []


def test_same_peer_is_left_alone_for_an_hour() -> None:
    prober = BirthdayProber(SeededEntropy())
    assert prober.start(HARD, 0.0)
    prober.stop()
    assert not prober.start(HARD, 3599.0)
    assert prober.start(HARD, 3600.0)


def test_answer_ends_the_guessing() -> None:
    prober = BirthdayProber(SeededEntropy())
    prober.start(HARD, 0.0)
    prober.stop()
    assert prober.due(5.0) == []
