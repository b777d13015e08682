"""The clocks of one connection."""

from __future__ import annotations

from relay.patience import HANDSHAKE_S, Due, Patience


def opened(write_timeout_s: float = 2.0, *, is_mesh_peer: bool = False) -> Patience:
    patience = Patience(write_timeout_s, 0.5, 0)
    patience.open(is_mesh_peer=is_mesh_peer)
    return patience


def test_each_half_of_the_greeting_has_its_time() -> None:
    patience = Patience(2.0, 0, 0)
    assert patience.deadline() == HANDSHAKE_S
    patience.await_verdict(7)
    assert patience.take_due(HANDSHAKE_S) is None
    assert patience.take_due(7 + HANDSHAKE_S) is Due.GIVE_UP_GREETING


def test_keepalives_keep_their_distance() -> None:
    patience = opened()
    assert patience.deadline() == 62.5
    assert patience.take_due(62) is None
    assert patience.take_due(70) is Due.KEEPALIVE
    assert patience.deadline() == 132.5


def test_stuck_client_is_given_up_unless_it_goes_on() -> None:
    patience = opened()
    patience.pause(10)
    patience.note_progress(11)
    assert patience.deadline() == 13
    assert patience.take_due(12.9) is None
    assert patience.take_due(13) is Due.GIVE_UP_WRITING
    patience.resume()
    assert patience.deadline() == 62.5


def test_progress_of_a_client_that_is_not_stuck_is_nothing() -> None:
    patience = opened()
    patience.note_progress(5)
    assert patience.deadline() == 62.5


def test_nobody_is_given_up_without_a_write_timeout() -> None:
    for is_mesh_peer in (False, True):
        patience = opened(0, is_mesh_peer=is_mesh_peer)
        patience.pause(0)
        assert patience.take_due(60) is None
