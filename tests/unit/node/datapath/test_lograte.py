"""A burst, then a steady rate; what was left out is known."""

from __future__ import annotations

from node.datapath.lograte import BURST, RATE_PER_S, LogRate


def test_burst_then_rate_then_count() -> None:
    rate = LogRate()
    assert [rate.take(0.0) for _ in range(int(BURST))] == [0] * int(BURST)
    assert [rate.take(0.0) for _ in range(3)] == [None] * 3
    assert rate.suppressed == 3
    assert rate.take(1 / RATE_PER_S) == 3
    assert rate.take(1 / RATE_PER_S) is None
    assert rate.take(2 / RATE_PER_S) == 1


def test_a_clock_that_goes_back_gives_nothing() -> None:
    rate = LogRate()
    for _ in range(int(BURST)):
        rate.take(10.0)
    assert rate.take(0.0) is None
