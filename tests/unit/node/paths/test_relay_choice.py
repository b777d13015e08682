"""Which relay connections are held."""

from __future__ import annotations

from node.paths.relay_choice import CloseRegion, OpenRegion, RelayChoice, SetHome

PEER = b"\x01" * 32


def test_home_is_dialled_at_once_and_told_that_it_is() -> None:
    choice = RelayChoice()
    choice.set_home(3, 0)
    assert choice.commands() == [OpenRegion(3)]
    choice.note_open(3, 1)
    assert choice.commands() == [SetHome(3, is_home=True)]


def test_home_is_never_idle() -> None:
    choice = RelayChoice()
    choice.set_home(3, 0)
    choice.note_open(3, 0)
    choice.commands()
    choice.on_deadline(10_000)
    assert choice.commands() == []
    assert choice.deadline() is None


def test_peers_home_is_dialled_for_it_and_closed_a_minute_after_the_last_write() -> None:
    choice = RelayChoice()
    assert choice.region_for(PEER, 5, 0) == 5
    assert choice.commands() == [OpenRegion(5)]
    choice.note_open(5, 1)
    choice.region_for(PEER, 5, 30)
    assert choice.deadline() == 90
    choice.on_deadline(89)
    assert choice.commands() == []
    choice.on_deadline(90)
    assert choice.commands() == [CloseRegion(5)]


def test_answer_goes_where_the_peer_was_heard_while_its_home_is_not_open() -> None:
    choice = RelayChoice()
    choice.note_open(3, 0)
    choice.note_heard(3, 0, PEER)
    assert choice.region_for(PEER, 5, 1) == 3
    choice.note_open(5, 2)
    assert choice.region_for(PEER, 5, 3) == 5


def test_relay_that_says_the_peer_is_gone_is_believed() -> None:
    choice = RelayChoice()
    choice.note_open(3, 0)
    choice.note_heard(3, 0, PEER)
    choice.note_gone(3, PEER)
    assert choice.region_for(PEER, 5, 1) == 5


def test_failures_back_off_to_five_seconds() -> None:
    choice = RelayChoice()
    choice.set_home(3, 0)
    waits = []
    now = 0.0
    for _ in range(8):
        choice.commands()
        choice.note_lost(3, now)
        due = choice.deadline()
        assert due is not None
        waits.append(due - now)
        now = due
        choice.on_deadline(now)
        assert choice.commands() == [OpenRegion(3)]
    assert waits[:3] == [0.25, 0.5, 1.0]
    assert waits[-1] == 5.0


def test_restarting_relay_is_dialled_when_it_asked_to_be() -> None:
    choice = RelayChoice()
    choice.set_home(3, 0)
    choice.note_lost(3, 10, retry_in_s=0.2)
    assert choice.deadline() == 10.2


def test_moving_home_tells_both_and_lets_the_old_one_go_idle() -> None:
    choice = RelayChoice()
    choice.set_home(3, 0)
    choice.note_open(3, 0)
    choice.note_open(5, 0)
    choice.commands()
    choice.set_home(5, 100)
    assert choice.commands() == [SetHome(3, is_home=False), SetHome(5, is_home=True)]
    choice.on_deadline(160)
    assert choice.commands() == [CloseRegion(3)]


def test_dead_idle_region_is_not_dialled_again() -> None:
    choice = RelayChoice()
    choice.region_for(PEER, 5, 0)
    choice.note_open(5, 0)
    choice.commands()
    choice.note_lost(5, 58)
    choice.on_deadline(61)
    assert choice.commands() == []
