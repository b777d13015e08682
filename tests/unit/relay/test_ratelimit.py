"""Token bucket arithmetic under an injected clock."""

from __future__ import annotations

from relay.ratelimit import RateLimit, TokenBucket


def test_burst_then_rate() -> None:
    bucket = TokenBucket(RateLimit(per_second=1, burst=3), now=0)
    assert [bucket.try_take(1, 0) for _ in range(4)] == [True, True, True, False]
    assert bucket.try_take(1, 1.0)
    assert not bucket.try_take(1, 1.5)


def test_debt_is_told_in_seconds() -> None:
    bucket = TokenBucket(RateLimit(per_second=100, burst=200), now=0)
    assert bucket.charge(200, 0) == 0
    assert bucket.charge(50, 0) == 0.5


def test_rate_of_zero_limits_nothing() -> None:
    bucket = TokenBucket(RateLimit(0, 0), now=0)
    assert bucket.try_take(1e9, 0)
    assert bucket.charge(1e9, 0) == 0


def test_clock_that_steps_back_mints_nothing() -> None:
    bucket = TokenBucket(RateLimit(1, 1), now=100)
    assert bucket.try_take(1, 100)
    assert not bucket.try_take(1, 50)
    assert not bucket.try_take(1, 50.5)


def test_new_limit_cuts_what_was_saved() -> None:
    bucket = TokenBucket(RateLimit(1, 100), now=0)
    bucket.replace(RateLimit(1, 2), now=0)
    assert [bucket.try_take(1, 0) for _ in range(3)] == [True, True, False]
