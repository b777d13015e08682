"""Settings: types, routes, tags, and the way to disk and back."""

from __future__ import annotations

import pytest

from node.state.preferences import Preferences, PreferencesError


def test_settings_survive_the_disk() -> None:
    held = Preferences().changed(
        {"hostname": "a", "advertise_tags": ["tag:x"], "advertise_routes": ["10.0.0.0/8"]}
    )
    assert Preferences.from_json(held.to_json()) == held


def test_what_is_not_named_stays() -> None:
    held = Preferences(hostname="a", accept_routes=True)
    assert held.changed({"hostname": "b"}) == Preferences(hostname="b", accept_routes=True)


def test_unknown_setting_on_disk_is_ignored() -> None:
    assert Preferences.from_json({"from_the_future": 1}) == Preferences()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hostnam": "a"}, "hostnam: no such setting"),
        ({"accept_routes": "yes"}, "accept_routes: expected bool"),
        ({"advertise_routes": ["10.0.0.1/8"]}, "route 10.0.0.1/8 has host bits set; write 10.0.0"),
        ({"advertise_routes": ["ten"]}, "expected a CIDR"),
        ({"advertise_routes": ["0.0.0.0/0"]}, "use --advertise-exit-node"),
        ({"advertise_tags": ["web"]}, "a tag is written tag:NAME"),
    ],
)
def test_wrong_setting_is_named(changes: dict[str, object], message: str) -> None:
    with pytest.raises(PreferencesError, match=message):
        Preferences().changed(changes)


def test_exit_node_offers_both_families() -> None:
    offered = Preferences(advertise_exit_node=True).offered_routes
    assert [str(route) for route in offered] == ["0.0.0.0/0", "::/0"]
