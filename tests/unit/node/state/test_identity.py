"""Keys: what is kept, what a logout replaces, what is never shown."""

from __future__ import annotations

import os

import pytest

from node.state.directory import StateError
from node.state.identity import Identity


def test_keys_survive_the_disk() -> None:
    held = Identity.generate(os.urandom)
    assert Identity.from_json(held.to_json()) == held


def test_logout_keeps_the_machine_key_only() -> None:
    held = Identity.generate(os.urandom).registered(Identity.generate(os.urandom).node)
    after = held.logged_out(os.urandom)
    assert after.machine == held.machine
    assert after.node != held.node
    assert not after.is_registered


def test_keys_are_not_in_the_repr() -> None:
    held = Identity.generate(os.urandom)
    stored = held.to_json()
    for name in ("machine_key", "node_key", "disco_key"):
        assert stored[name].partition(":")[2] not in repr(held)


@pytest.mark.parametrize("name", ["machine_key", "node_key", "disco_key"])
def test_damaged_key_is_refused(name: str) -> None:
    stored = Identity.generate(os.urandom).to_json()
    with pytest.raises(StateError, match="cannot be read"):
        Identity.from_json({**stored, name: "privkey:00"})
