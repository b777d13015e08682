"""Who is woken when."""

from __future__ import annotations

from node.wireguard.peer import Peer
from node.wireguard.wakes import Wakes

A, B = Peer(bytes(32)), Peer(bytes([1]) * 32)


def test_the_earliest_is_woken_first() -> None:
    wakes = Wakes()
    wakes.schedule(A, 5.0)
    wakes.schedule(B, 3.0)
    assert wakes.first() == 3.0
    assert [wakes.pop_due(9.0), wakes.pop_due(9.0), wakes.pop_due(9.0)] == [B, A, None]


def test_nobody_is_woken_early() -> None:
    wakes = Wakes()
    wakes.schedule(A, 5.0)
    assert wakes.pop_due(4.9) is None
    assert wakes.pop_due(5.0) is A


def test_earlier_time_replaces_a_later_one() -> None:
    wakes = Wakes()
    wakes.schedule(A, 5.0)
    wakes.schedule(A, 2.0)
    assert wakes.pop_due(2.0) is A
    assert wakes.pop_due(9.0) is None


def test_later_time_changes_nothing() -> None:
    wakes = Wakes()
    wakes.schedule(A, 2.0)
    wakes.schedule(A, 5.0)
    wakes.schedule(A, None)
    assert wakes.pop_due(2.0) is A
    assert wakes.first() is None


def test_forgotten_peer_is_never_woken() -> None:
    wakes = Wakes()
    wakes.schedule(A, 2.0)
    wakes.forget(A)
    assert wakes.pop_due(9.0) is None
