"""What holds of any compiled network, whatever the policy."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.compile.network import CompiledNetwork
from engine.compile.peers import primary_routes
from tests.support.policies.documents import random_acl, random_grant
from tests.support.policies.scenario import Scenario, random_scenario, randoms

if TYPE_CHECKING:
    from random import Random

quiet = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.data_too_large])
RULES = ("acls", "grants", "ACLS", "GRANTS")
EXITS = {"0.0.0.0/0", "::/0"}


def wire(network: CompiledNetwork) -> str:
    """Return everything that every node is told, as text."""
    nodes = range(len(network.directory.nodes))
    return json.dumps([network.node_to_wire(index) for index in nodes])


def with_rule(scenario: Scenario, section: str, rule: dict[str, Any], place: int) -> Scenario:
    """Return the scenario with one more rule."""
    name = next((n for n in scenario.document if n.lower() == section), section)
    rules = list(scenario.document.get(name, ()))
    rules.insert(place % (len(rules) + 1), rule)
    return Scenario(scenario.document | {name: rules}, scenario.inventory)


@given(randoms, st.booleans(), st.integers(0, 9))
@quiet
def test_an_added_rule_never_takes_access_away(rng: Random, is_acl: bool, place: int) -> None:
    scenario = random_scenario(rng)
    if not any(name in scenario.document for name in RULES):
        return  # the first rule ends the default of allowing everything
    rule = random_acl(rng) if is_acl else random_grant(rng)
    more = with_rule(scenario, "acls" if is_acl else "grants", rule, place)
    for _ in range(10):
        asked = more.flows.flow(rng)
        assert more.allows(asked) or not scenario.allows(asked), (asked, rule, scenario)


@given(randoms)
@quiet
def test_the_order_of_rules_decides_on_no_access(rng: Random) -> None:
    scenario = random_scenario(rng)
    shuffled = dict(scenario.document)
    for name in RULES:
        if name in shuffled:
            shuffled[name] = rng.sample(shuffled[name], len(shuffled[name]))
    other = Scenario(shuffled, scenario.inventory)
    for _ in range(10):
        asked = scenario.flows.flow(rng)
        assert other.allows(asked) == scenario.allows(asked), (asked, scenario, shuffled)


@given(randoms)
@quiet
def test_the_order_of_definitions_shows_nowhere(rng: Random) -> None:
    scenario = random_scenario(rng)
    sections = list(scenario.document)
    turned = {name: scenario.document[name] for name in rng.sample(sections, len(sections))}
    for name in ("groups", "tagOwners", "hosts", "ipsets", "postures"):
        turned[name] = dict(reversed(turned[name].items()))
    assert wire(Scenario(turned, scenario.inventory).network) == wire(scenario.network)


@given(randoms)
@quiet
def test_compiling_again_gives_the_same(rng: Random) -> None:
    scenario = random_scenario(rng)
    again = CompiledNetwork(scenario.policy, scenario.directory)
    # Nodes may be asked for in any order, and before or after the whole.
    for node in reversed(scenario.directory.nodes):
        one = again.filters.compile(node.index)
        assert one == scenario.network.packet_filters[node.index]
    assert wire(again) == wire(scenario.network)


def test_the_seed_of_hashes_shows_nowhere() -> None:
    program = (
        "from random import Random\n"
        "from tests.property.engine.test_compile_laws import wire\n"
        "from tests.support.policies.scenario import random_scenario\n"
        "rng = Random(7)\n"
        "print(*(wire(random_scenario(rng).network) for _ in range(20)), sep='\\n')\n"
    )
    outputs = [
        subprocess.run(
            [sys.executable, "-c", program],
            env=os.environ | {"PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert outputs[0] == outputs[1]


@given(randoms)
@quiet
def test_devices_see_one_another_or_not_at_all(rng: Random) -> None:
    network = random_scenario(rng).network
    seen = [
        {view.node for view in network.peers.peers(node.index)} for node in network.directory.nodes
    ]
    for index, peers in enumerate(seen):
        assert index not in peers
        assert all(index in seen[peer] for peer in peers), (index, peers)


@given(randoms)
@quiet
def test_no_address_leads_to_two_peers(rng: Random) -> None:
    network = random_scenario(rng).network
    for node in network.directory.nodes:
        views = network.peers.peers(node.index)
        # Exit routes are offered side by side; the user of a device picks one.
        claimed = [ip for view in views for ip in view.allowed_ips if ip not in EXITS]
        assert len(claimed) == len(set(claimed)), (node, claimed)


@given(randoms)
@quiet
def test_a_shown_route_is_one_that_the_peer_has(rng: Random) -> None:
    network = random_scenario(rng).network
    for node in network.directory.nodes:
        for view in network.peers.peers(node.index):
            peer = network.directory.nodes[view.node]
            routed = {route.text for route in peer.routes} | set(peer.exit_routes)
            hosts = {f"{a}/{32 if a.version == 4 else 128}" for a in peer.addresses}
            assert set(view.allowed_ips) <= routed | hosts
            assert set(view.primary_routes) <= {route.text for route in peer.routes}


@given(randoms)
@quiet
def test_a_route_has_one_primary_that_is_online(rng: Random) -> None:
    directory = random_scenario(rng).directory
    primary = primary_routes(directory)
    named = [text for texts in primary.values() for text in texts]
    assert len(named) == len(set(named))
    online = {route.text for node in directory.nodes if node.online for route in node.routes}
    assert set(named) == online
    assert all(directory.nodes[index].online for index in primary)


@given(randoms)
@quiet
def test_who_may_reach_a_device_is_its_peer(rng: Random) -> None:
    scenario = random_scenario(rng)
    peers = scenario.network.peers
    for _ in range(6):
        asked = scenario.flows.flow(rng)._replace(proto=6)
        sender = next(
            (n for n in scenario.directory.nodes if asked.src in map(str, n.addresses)), None
        )
        receiver = scenario.directory.by_hostname[asked.receiver]
        if sender is None or sender is receiver or not scenario.allows(asked):
            continue
        assert receiver.index in {view.node for view in peers.peers(sender.index)}, asked
