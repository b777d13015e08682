"""Who asks too often waits; others do not."""

from __future__ import annotations

from control.http import ratelimit
from control.http.ratelimit import RateLimit


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_burst_passes_then_the_rate_counts() -> None:
    clock = Clock()
    limit = RateLimit(burst=2, per_second=0.5, clock=clock)
    assert [limit.wait_s("a") for _ in range(3)] == [0, 0, 2]
    clock.now = 2
    assert limit.wait_s("a") == 0
    assert limit.wait_s("a") == 2


def test_keys_do_not_share() -> None:
    limit = RateLimit(burst=1, per_second=1, clock=Clock())
    assert limit.wait_s("a") == limit.wait_s("b") == 0
    assert limit.wait_s("a") > 0


def test_unused_tokens_are_bounded_by_the_burst() -> None:
    clock = Clock()
    limit = RateLimit(burst=1, per_second=1, clock=clock)
    limit.wait_s("a")
    clock.now = 1000
    assert [limit.wait_s("a") for _ in range(2)] == [0, 1]


def test_number_of_keys_is_bounded() -> None:
    limit = RateLimit(burst=1, per_second=1, clock=Clock())
    for key in range(ratelimit.MAX_KEYS + 1):
        limit.wait_s(key)
    # The least recent key was forgotten, so it has its burst again.
    assert limit.wait_s(0) == 0
    assert limit.wait_s(ratelimit.MAX_KEYS) > 0
