"""Members in memory: every index follows every change."""

from __future__ import annotations

from dataclasses import replace

import pytest

from control.keys import MachinePublic, NodePublic
from control.registry.tailnet import Tailnet
from tests.support.records import node_record, user_record


@pytest.fixture
def tailnet() -> Tailnet:
    return Tailnet([user_record()], [node_record(1), node_record(2)])


def test_node_is_authentic_only_with_its_own_machine(tailnet: Tailnet) -> None:
    node, other = node_record(1), node_record(2)
    assert tailnet.authentic_node(node.node_key, node.machine_key) == node
    assert tailnet.authentic_node(node.node_key, other.machine_key) is None
    assert tailnet.authentic_node(NodePublic.zero(), node.machine_key) is None


def test_old_key_and_name_are_forgotten(tailnet: Tailnet) -> None:
    new_key = NodePublic(bytes([9]) * 32)
    tailnet.put_node(replace(node_record(1), node_key=new_key, given_name="gamma"))
    assert tailnet.node_by_key(node_record(1).node_key) is None
    assert not tailnet.is_name_taken("node-1")
    assert tailnet.node_by_key(new_key) == tailnet.node_by_name("gamma") == tailnet.node(1)


def test_name_that_moved_to_another_node_stays_there(tailnet: Tailnet) -> None:
    tailnet.put_node(replace(node_record(2), given_name="node-1"))
    tailnet.put_node(replace(node_record(1), given_name="other"))
    found = tailnet.node_by_name("node-1")
    assert found is not None
    assert found.id == 2


def test_dropped_node_leaves_no_trace(tailnet: Tailnet) -> None:
    tailnet.set_online(1, is_online=True)
    assert tailnet.drop_node(1) == node_record(1)
    assert tailnet.drop_node(1) is None
    assert tailnet.nodes_of_machine(node_record(1).machine_key) == []
    assert not tailnet.is_online(1)
    assert [node.id for node in tailnet] == [2]


def test_only_changes_of_presence_are_news(tailnet: Tailnet) -> None:
    news = [tailnet.set_online(1, is_online=state) for state in (True, True, False, False)]
    assert news == [True, False, True, False]
    assert not tailnet.set_online(99, is_online=True)


def test_machine_may_have_several_nodes(tailnet: Tailnet) -> None:
    machine = MachinePublic(bytes([7]) * 32)
    for number in (4, 3):
        tailnet.put_node(replace(node_record(number), machine_key=machine))
    assert [node.id for node in tailnet.nodes_of_machine(machine)] == [3, 4]
