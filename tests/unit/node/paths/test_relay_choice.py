"""Which relay connections are held."""

from __future__ import annotations

from node.paths.relay_choice import CloseRegion, OpenRegion, PingRegion, RelayChoice, SetHome

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
    for now in range(0, 10_000, 15):
        choice.note_heard(3, now)
        choice.on_deadline(now)
    assert choice.commands() == []


def test_silent_home_is_asked_and_dialled_anew_when_it_does_not_answer() -> None:
    choice = RelayChoice()
    choice.set_home(3, 0)
    choice.note_open(3, 0)
    choice.commands()
    assert choice.deadline() == 20
    choice.on_deadline(20)
    assert choice.commands() == [PingRegion(3)]
    choice.note_heard(3, 20.1)
    assert choice.deadline() == 40.1
    choice.on_deadline(40.1)
    choice.on_deadline(42.1)
    choice.on_deadline(42.1)
    assert choice.commands() == [PingRegion(3), CloseRegion(3, is_silent=True), OpenRegion(3)]


def test_relay_that_is_written_to_and_says_nothing_is_asked_once() -> None:
    choice = RelayChoice()
    choice.set_home(3, 0)
    choice.note_open(3, 0)
    choice.commands()
    for tenth in range(30):
        choice.region_for(PEER, 3, tenth / 10)
    assert choice.commands() == [PingRegion(3)]
    assert choice.deadline() == 3.5
    choice.on_deadline(3.5)
    choice.on_deadline(3.5)
    assert choice.commands() == [CloseRegion(3, is_silent=True), OpenRegion(3)]
    assert choice.heard_at() == {3: 0}


def test_peer_whose_home_cannot_be_dialled_is_tried_by_our_own() -> None:
    choice = RelayChoice()
    choice.set_home(3, 0)
    choice.note_open(3, 0)
    assert choice.region_for(PEER, 5, 1) == 5
    choice.note_lost(5, 2)
    assert choice.region_for(PEER, 5, 2.1) == 3
    assert choice.failed_at() == {5: 2}
    choice.note_open(5, 3)
    assert choice.region_for(PEER, 5, 3.1) == 5
    assert choice.failed_at() == {}


def test_failed_dial_makes_a_region_failing_a_lost_connection_does_not() -> None:
    choice = RelayChoice()
    choice.set_home(3, 0)
    choice.note_open(3, 0)
    choice.note_lost(3, 10)
    assert choice.failed_at() == {}
    choice.on_deadline(11)
    choice.note_lost(3, 11)
    assert choice.failed_at() == {3: 11}


def test_peers_home_is_dialled_for_it_and_closed_a_minute_after_the_last_write() -> None:
    choice = RelayChoice()
    assert choice.region_for(PEER, 5, 0) == 5
    assert choice.commands() == [OpenRegion(5)]
    choice.note_open(5, 1)
    choice.note_heard(5, 29)
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
    choice.note_restarting(3, 10, 0.2)
    choice.note_lost(3, 10)
    assert choice.deadline() == 10.2


def test_wait_for_a_restarting_relay_counts_from_when_it_said_so() -> None:
    choice = RelayChoice()
    choice.set_home(3, 0)
    choice.note_restarting(3, 10, 4)
    choice.note_lost(3, 14.1)
    assert choice.deadline() == 14.1
    # It said so once: what is lost later has the usual wait.
    choice.on_deadline(14.1)
    choice.note_open(3, 15)
    choice.note_lost(3, 20)
    assert choice.deadline() == 20.25


def test_restarting_relay_cannot_ask_for_ever() -> None:
    choice = RelayChoice()
    choice.set_home(3, 0)
    choice.note_restarting(3, 10, 2**32 / 1000)
    choice.note_lost(3, 10)
    assert choice.deadline() == 40


def test_changed_network_makes_what_waits_due() -> None:
    choice = RelayChoice()
    choice.set_home(3, 0)
    for now in range(8):
        choice.note_lost(3, now)
    choice.commands()
    choice.redial(7)
    assert choice.deadline() == 7
    assert choice.failed_at() == {}
    choice.on_deadline(7)
    assert choice.commands() == [OpenRegion(3)]
    choice.note_lost(3, 8)
    assert choice.deadline() == 8.25


def test_moving_home_tells_both_and_lets_the_old_one_go_idle() -> None:
    choice = RelayChoice()
    choice.set_home(3, 0)
    choice.note_open(3, 0)
    choice.note_open(5, 0)
    choice.commands()
    choice.set_home(5, 100)
    assert choice.commands() == [SetHome(3, is_home=False), SetHome(5, is_home=True)]
    choice.note_heard(5, 159)
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


def test_peer_heard_by_a_relay_that_went_idle_is_looked_for_at_its_home() -> None:
    choice = RelayChoice()
    choice.region_for(PEER, 5, 0)
    choice.note_open(5, 0)
    choice.note_heard(5, 1, PEER)
    choice.on_deadline(61)
    choice.commands()
    assert choice.region_for(PEER, 3, 100) == 3
    assert choice.commands() == [OpenRegion(3)]
