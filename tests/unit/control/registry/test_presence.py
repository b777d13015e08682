"""Who is connected: grace for reconnects, the newest stream counts, ephemeral nodes wait."""

from __future__ import annotations

import math

import pytest

from control.registry.presence import Due, Presence

NOTHING = Due(offline=(), abandoned=())


@pytest.fixture
def presence() -> Presence:
    return Presence(ephemeral_timeout_s=100)


def test_node_is_offline_only_after_the_grace(presence: Presence) -> None:
    presence.connected(1)
    presence.disconnected(1, 0, is_ephemeral=False)
    assert presence.due(9.9) == NOTHING
    assert presence.due(10) == Due(offline=(1,), abandoned=())
    assert presence.due(11) == NOTHING


def test_router_is_offline_soon_since_another_may_stand_in(presence: Presence) -> None:
    presence.connected(1)
    presence.disconnected(1, 0, is_ephemeral=False, is_router=True)
    presence.connected(2)
    presence.disconnected(2, 0, is_ephemeral=False)
    assert presence.next_offline_at == 1
    assert presence.due(0.9) == NOTHING
    assert presence.due(1) == Due(offline=(1,), abandoned=())
    assert presence.next_offline_at == 10
    assert presence.due(10) == Due(offline=(2,), abandoned=())
    assert presence.next_offline_at == math.inf


def test_reconnect_within_the_grace_keeps_the_node_online(presence: Presence) -> None:
    presence.connected(1)
    presence.disconnected(1, 0, is_ephemeral=True)
    presence.connected(1)
    assert presence.due(1000) == NOTHING


def test_end_of_an_older_stream_does_not_count(presence: Presence) -> None:
    presence.connected(1)
    presence.connected(1)
    presence.disconnected(1, 0, is_ephemeral=True)
    assert presence.due(1000) == NOTHING
    assert presence.is_connected(1)


def test_ephemeral_node_is_given_up_after_its_time(presence: Presence) -> None:
    presence.connected(1)
    presence.disconnected(1, 0, is_ephemeral=True)
    assert presence.due(99).abandoned == ()
    assert presence.due(100).abandoned == (1,)


def test_ephemeral_node_that_never_comes_has_the_full_time(presence: Presence) -> None:
    presence.expect(1, 0)
    presence.expect(1, 50)
    assert presence.due(99).abandoned == ()
    assert presence.due(100).abandoned == (1,)


def test_expecting_a_connected_node_changes_nothing(presence: Presence) -> None:
    presence.connected(1)
    presence.expect(1, 0)
    assert presence.due(1000) == NOTHING


def test_deleted_node_is_forgotten(presence: Presence) -> None:
    presence.connected(1)
    presence.disconnected(1, 0, is_ephemeral=True)
    presence.forget(1)
    assert presence.due(1000) == NOTHING
