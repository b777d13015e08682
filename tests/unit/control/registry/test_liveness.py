"""Other servers: known by their word, given up after silence, with the nodes that they held."""

from __future__ import annotations

import pytest

from control.registry.liveness import SILENCE_S, Liveness


@pytest.fixture
def liveness() -> Liveness:
    made = Liveness()
    made.heard("a", 0)
    made.put("a", 1, is_online=True)
    return made


def test_server_is_new_once(liveness: Liveness) -> None:
    assert [liveness.heard(origin, 1) for origin in ("a", "b", "b")] == [False, True, False]


def test_nodes_of_a_silent_server_are_lost_once(liveness: Liveness) -> None:
    assert liveness.silenced(SILENCE_S - 0.1) == ()
    assert liveness.silenced(SILENCE_S) == (1,)
    assert liveness.silenced(SILENCE_S) == ()


def test_server_that_speaks_keeps_its_nodes(liveness: Liveness) -> None:
    liveness.heard("a", 10)
    assert liveness.silenced(SILENCE_S) == ()


def test_node_that_went_away_before_is_not_lost(liveness: Liveness) -> None:
    liveness.put("a", 1, is_online=False)
    assert liveness.silenced(SILENCE_S) == ()


def test_node_that_moved_to_a_living_server_is_not_lost(liveness: Liveness) -> None:
    liveness.heard("b", 10)
    liveness.put("b", 1, is_online=True)
    assert liveness.silenced(SILENCE_S) == ()
    assert liveness.is_held(1)


def test_server_that_comes_back_after_silence_is_new(liveness: Liveness) -> None:
    liveness.silenced(SILENCE_S)
    assert liveness.heard("a", SILENCE_S + 1)


def test_own_deafness_is_no_silence_of_others(liveness: Liveness) -> None:
    liveness.restart(100)
    assert liveness.silenced(100) == ()


def test_list_replaces_what_was_held_once_it_is_complete() -> None:
    liveness = Liveness()
    liveness.heard("one", 0.0)
    for node_id in (1, 2, 3):
        liveness.put("one", node_id, is_online=True)
    assert liveness.list("one", [1], is_last=False) == frozenset()
    # Came between the parts of the list.
    liveness.put("one", 9, is_online=True)
    assert liveness.list("one", [3], is_last=True) == {2}
    assert [node_id for node_id in range(10) if liveness.is_held(node_id)] == [1, 3, 9]
