"""How many small packets are asked for in a row."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.datapath.budget import Budget
from tests.support.datapath_pair import DataPathPair
from tests.support.packets import udp_packet


def take(budget: Budget, waiting: int, now: float) -> tuple[int, int]:
    """Take what one call takes; return how many are left and how often it asked."""
    taken = min(budget.next, waiting)
    is_empty = taken < budget.next
    budget.settle(taken, now, is_empty=is_empty)
    return waiting - taken, taken + is_empty


def test_packets_that_come_alone_are_asked_for_once_each() -> None:
    budget = Budget(64)
    assert [take(budget, 1, 0.02 * n) for n in range(5)] == [(0, 1)] * 5


def test_packet_that_comes_alone_after_a_burst_is_soon_asked_for_once() -> None:
    budget = Budget(64)
    left = 100
    while left:
        left, _ = take(budget, left, 0.0)
    assert budget.next > 1
    assert [take(budget, 1, float(n)) for n in (1, 2, 3)] == [(0, 2), (0, 1), (0, 1)]


@given(st.lists(st.tuples(st.integers(0, 500), st.floats(0, 1))), st.integers(1, 64))
def test_all_are_taken_in_few_calls_and_never_more_than_the_most_at_once(
    bursts: list[tuple[int, float]], most: int
) -> None:
    budget, now = Budget(most), 0.0
    for waiting, pause in bursts:
        now += pause
        left, calls = waiting, 0
        while left:
            assert 1 <= budget.next <= most
            left, _ = take(budget, left, now)
            calls += 1
        assert calls <= 9 + waiting // most


@pytest.mark.parametrize("count", [1, 5, 200])
def test_small_packets_of_a_burst_all_go_out(count: int) -> None:
    pair = DataPathPair()
    try:
        packets = [udp_packet("10.0.0.1", "10.0.0.2", 1, 2, bytes([n % 251])) for n in range(count)]
        for packet in packets:
            pair.a.host_sends(packet)
        pair.settle()
        assert pair.b.host_got() == packets
    finally:
        pair.close()
