"""A network that follows another: it says what a fresh one says, and knows to whom that is new."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.compile.network import CompiledNetwork
from engine.compile.peers import primary_routes
from engine.directory import Directory, DirectoryNode
from tests.support.policies.documents import random_acl, random_grant
from tests.support.policies.scenario import Scenario, random_scenario, randoms
from tests.support.policies.small_world import SmallWorld

if TYPE_CHECKING:
    from random import Random

    from policy.model.document import Policy

quiet = settings(deadline=None, suppress_health_check=[HealthCheck.data_too_large])
STEPS = 6
EDITS = 10


class Told:
    """What each node is told by a network, by the node's id."""

    def __init__(self, network: CompiledNetwork) -> None:
        nodes = network.directory.nodes
        primary = primary_routes(network.directory)
        self.views: dict[str, Any] = {}
        self.rules: dict[str, Any] = {}
        self.selves: dict[str, Any] = {}
        self.origins: dict[str, Any] = {}
        for node in nodes:
            self.views[node.id] = {
                nodes[view.node].id: (
                    view.allowed_ips,
                    view.primary_routes,
                    network.capabilities.peer_map(view.node),
                )
                for view in network.peers.peers(node.index)
            }
            told = network.node_to_wire(node.index)
            self.rules[node.id] = told["packetFilter"], told["sshPolicy"]
            self.origins[node.id] = [
                (rule.origins, rule.shares) for rule in network.packet_filters[node.index]
            ]
            self.selves[node.id] = (
                told["selfAllowedIPs"],
                told["selfCapMap"],
                primary.get(node.index),
            )


def _numbered(nodes: list[DirectoryNode]) -> tuple[DirectoryNode, ...]:
    """Return nodes in their places; one that is in its place already stays the same object."""
    return tuple(
        node if node.index == index else replace(node, index=index)
        for index, node in enumerate(nodes)
    )


def _changed_node(rng: Random, node: DirectoryNode, others: list[DirectoryNode]) -> DirectoryNode:
    model = rng.choice(others)
    match rng.randrange(4):
        case 0:
            return replace(node, online=not node.online)
        case 1:
            return replace(node, user=model.user, tags=model.tags)
        case 2:
            return replace(node, routes=model.routes, exit_routes=model.exit_routes)
        case _:
            return replace(node, attributes=model.attributes, hostname=f"{node.hostname}x")


def _next_directory(rng: Random, directory: Directory, everyone: Directory) -> Directory:
    nodes = {node.id: node for node in directory.nodes}
    for _ in range(rng.choice((0, 1, 1, 2, 5))):
        node = rng.choice(everyone.nodes)
        if node.id in nodes and rng.random() < 0.4:
            del nodes[node.id]
        elif node.id in nodes:
            nodes[node.id] = _changed_node(rng, nodes[node.id], list(everyone.nodes))
        else:
            nodes[node.id] = node
    ordered = [nodes[node.id] for node in everyone.nodes if node.id in nodes]
    return Directory(directory.users, _numbered(ordered), directory.settings)


def _next_policy(rng: Random, scenario: Scenario) -> Policy:
    document = dict(scenario.document)
    section = rng.choice(("acls", "grants"))
    name = next((n for n in document if n.lower() == section), section)
    rules = list(document.get(name, ()))
    if rules and rng.random() < 0.5:
        rules.pop(rng.randrange(len(rules)))
    if rng.random() < 0.7:
        rule = random_acl(rng) if section == "acls" else random_grant(rng)
        rules.insert(rng.randrange(len(rules) + 1), rule)
    return Scenario(document | {name: rules}, scenario.inventory).policy


class Follower:
    """A network that follows another, step by step, held to one that is compiled from nothing."""

    def __init__(self, policy: Policy, directory: Directory) -> None:
        self._network = CompiledNetwork(policy, directory)
        assert self._network.settle() is None
        self._told = Told(self._network)

    def follow(self, policy: Policy, directory: Directory) -> None:
        old = self._network
        self._network = CompiledNetwork(policy, directory, self._network)
        changes = self._network.settle()
        assert changes is not None
        before, self._told = self._told, Told(self._network)
        fresh = Told(CompiledNetwork(policy, directory))
        assert vars(self._told) == vars(fresh)
        # Whoever hears of other rules hears where they come from as well.
        changes = changes._replace(origins=changes.origins | changes.rules)
        exact = _exact_parts(old, self._network)
        for node in directory.nodes:
            for part, mask in changes._asdict().items():
                was, now = getattr(before, part).get(node.id), getattr(fresh, part)[node.id]
                if not mask >> node.index & 1:
                    assert was == now, (part, node.id)
                elif part in exact:
                    assert was != now, (part, node.id, "woken for nothing")


def _exact_parts(old: CompiledNetwork, new: CompiledNetwork) -> set[str]:
    """Return the parts that must be told to nobody in vain."""
    was = {node.id: node for node in old.directory.nodes}
    kept = [node for node in new.directory.nodes if node.id in was]
    places = [was[node.id].index for node in kept]
    if places != sorted(places):
        return set()
    is_same = old.policy is new.policy and old.directory.settings == new.directory.settings
    if is_same and all(replace(was[node.id], index=node.index) == node for node in kept):
        # Devices came and went, perhaps, and nothing else.
        return {"rules", "views"}
    return {"rules"}


@given(randoms)
@settings(quiet, max_examples=25)
def test_whatever_changes_the_follower_is_as_good_as_new(rng: Random) -> None:
    scenario = random_scenario(rng)
    everyone = scenario.directory
    if not everyone.nodes:
        return
    policy, directory = scenario.policy, everyone
    follower = Follower(policy, directory)
    for _ in range(STEPS):
        if rng.random() < 0.4:
            policy = _next_policy(rng, scenario)
        if rng.random() < 0.7:
            directory = _next_directory(rng, directory, everyone)
        follower.follow(policy, directory)


# A seed says it all: a small world needs no shrinking, and edits come evenly.
@given(st.randoms(use_true_random=True))
@settings(max_examples=350)
def test_whatever_one_edit_changes_is_told(rng: Random) -> None:
    world = SmallWorld(rng)
    follower = Follower(world.policy, world.directory)
    for _ in range(EDITS):
        for _ in range(rng.choice((1, 1, 1, 2, 3))):
            world.edit()
        follower.follow(world.policy, world.directory)
