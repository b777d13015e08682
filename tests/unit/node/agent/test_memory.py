"""What an agent remembers over its death."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from control.keys import NodePrivate
from node.agent.memory import Memory
from node.state.directory import StateDirectory
from tests.support.netmaps import netmap

if TYPE_CHECKING:
    from pathlib import Path

    from node.netmap.netmap import NetMap


@pytest.fixture
def directory(tmp_path: Path) -> StateDirectory:
    return StateDirectory(tmp_path)


def own_netmap(memory: Memory) -> NetMap:
    made = netmap()
    return replace(made, self_node=replace(made.self_node, key=memory.identity.node.public))


def registered(directory: StateDirectory) -> Memory:
    memory = Memory(directory)
    memory.register(NodePrivate.generate(os.urandom))
    return memory


def test_identity_and_preferences_outlive_the_agent(directory: StateDirectory) -> None:
    memory = registered(directory)
    memory.prefer(memory.preferences.changed({"hostname": "bench"}))
    again = Memory(directory)
    assert again.identity.node.public == memory.identity.node.public
    assert again.preferences.hostname == "bench"


def test_netmap_is_written_at_most_once_a_second(directory: StateDirectory) -> None:
    memory = registered(directory)
    memory.take_netmap(own_netmap(memory))
    assert memory.is_due(10.0)
    assert memory.write_netmap(10.0) == ""
    assert not memory.is_due(20.0), "nothing is new"
    memory.take_netmap(own_netmap(memory))
    assert not memory.is_due(10.5)
    assert memory.is_due(11.0)


def test_netmap_of_an_earlier_run_comes_back(directory: StateDirectory) -> None:
    memory = registered(directory)
    memory.take_netmap(own_netmap(memory))
    memory.write_netmap(0.0)
    again = Memory(directory)
    again.restore_netmap()
    assert again.netmap is not None
    assert again.netmap.peers.keys() == own_netmap(memory).peers.keys()


def test_netmap_of_another_node_key_does_not(directory: StateDirectory) -> None:
    memory = registered(directory)
    memory.take_netmap(netmap())
    memory.write_netmap(0.0)
    memory.restore_netmap()
    again = Memory(directory)
    again.restore_netmap()
    assert again.netmap is None


def test_other_node_key_loses_the_netmap(directory: StateDirectory) -> None:
    memory = registered(directory)
    memory.take_netmap(own_netmap(memory))
    memory.register(memory.identity.node)
    kept = memory.netmap
    memory.register(NodePrivate.generate(os.urandom))
    assert (kept is not None, memory.netmap) == (True, None)


def test_forgotten_login_leaves_no_netmap(directory: StateDirectory) -> None:
    memory = registered(directory)
    memory.take_netmap(own_netmap(memory))
    memory.write_netmap(0.0)
    before = memory.identity.node.public
    memory.forget_login()
    memory.save()
    again = Memory(directory)
    again.restore_netmap()
    assert (again.netmap, again.identity.is_registered) == (None, False)
    assert again.identity.node.public != before


def test_disk_that_takes_nothing_is_said(directory: StateDirectory) -> None:
    memory = registered(directory)
    memory.take_netmap(own_netmap(memory))
    (directory.path / "netmap.json.new").mkdir()
    assert "the netmap cannot be kept" in memory.write_netmap(0.0)
