"""A difference holds exactly the flows and logins on which two policies differ."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import HealthCheck, given, settings

from engine.difference import difference
from engine.difference.filters import filter_difference
from engine.evaluate import FilterEvaluator
from engine.evaluate.capabilities import PeerCapabilities
from engine.netset.address import Address
from engine.testing.ssh import evaluate_login
from tests.support.filters import boundary_flow, random_filter
from tests.support.policies.documents import random_policy
from tests.support.policies.scenario import Scenario, as_flow, random_scenario, randoms

if TYPE_CHECKING:
    from random import Random

    from engine.difference import Difference
    from engine.evaluate import Flow

quiet = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.data_too_large])


@given(randoms)
@settings(max_examples=300, deadline=None)
def test_boxes_of_two_filters_hold_what_the_evaluator_decides_otherwise(rng: Random) -> None:
    old, new = random_filter(rng), random_filter(rng)
    if rng.random() < 0.5:
        # Most changes leave most rules as they are.
        new = [*old, *new] if rng.random() < 0.5 else rng.sample(old, rng.randint(0, len(old)))
    boxes = filter_difference(old, new)
    before, after = FilterEvaluator(old), FilterEvaluator(new)
    for _ in range(12):
        flow = boundary_flow(rng, [*old, *new])
        holding = [
            box
            for box in boxes
            if box.version == flow.version
            and box.holds(flow.src, flow.dst, flow.proto, flow.dst_port)
        ]
        differs = before.allows(flow) != after.allows(flow)
        assert len(holding) == differs, (flow, holding)
        if differs:
            assert holding[0].is_added == after.allows(flow)
            allowing = after if holding[0].is_added else before
            origins = {o for i in allowing.matching(flow) for o in allowing.rules[i].origins}
            assert origins <= set(holding[0].origins)


def changed(rng: Random, scenario: Scenario) -> Scenario:
    """Return the scenario under another policy, sometimes a wholly other one."""
    document = random_policy(rng) if rng.random() < 0.3 else dict(scenario.document)
    for section in ("acls", "grants", "ACLS", "GRANTS", "ssh"):
        rules = document.get(section)
        if rules and rng.random() < 0.6:
            document[section] = rng.sample(rules, rng.randint(0, len(rules)))
    return Scenario(document, scenario.inventory)


def is_in(found: Difference, receiver: int, flow: Flow) -> list[bool]:
    services = (flow.proto,)
    return [
        change.is_added
        for change in found.access
        if change.receiver == receiver
        and Address(flow.version, flow.src) in change.sources
        and Address(flow.version, flow.dst) in change.destinations
        and any(s in services and flow.dst_port in ports for s, ports in change.services)
    ]


@given(randoms)
@quiet
def test_flow_is_in_the_difference_exactly_if_verdicts_differ(rng: Random) -> None:
    old = random_scenario(rng)
    new = changed(rng, old)
    found = difference(old.policy, new.policy, old.directory)
    for _ in range(20):
        asked = (old if rng.random() < 0.5 else new).flows.flow(rng)
        receiver = old.directory.by_hostname[asked.receiver]
        flow = as_flow(asked)
        if Address(flow.version, flow.dst) not in receiver.addresses:
            continue  # what a node does not answer for, its filter never sees
        before, after = old.allows(asked), new.allows(asked)
        assert is_in(found, receiver.index, flow) == ([after] if before != after else []), asked


@given(randoms)
@quiet
def test_login_is_in_the_difference_exactly_if_answers_differ(rng: Random) -> None:
    old = random_scenario(rng)
    new = changed(rng, old)
    found = difference(old.policy, new.policy, old.directory)
    for node in old.directory.nodes:
        rules = [scenario.network.ssh_policy(node.index) for scenario in (old, new)]
        named = {name for each in rules for rule in each for name in rule.ssh_users} - {"*"}
        for source in map(str, old.directory.by_address):
            # An account that no rule names stands for all others.
            for account, spelled in [("nobody-names-this", "*"), *((n, n) for n in named)]:
                before, after = (evaluate_login(each, source, account) for each in rules)
                held = [
                    (change.before, change.after)
                    for change in found.logins
                    if change.receiver == node.index
                    if source in change.sources and spelled in change.accounts
                ]
                assert held == ([(before, after)] if before is not after else [])


@given(randoms)
@quiet
def test_capability_is_in_the_difference_exactly_if_it_is_granted_otherwise(rng: Random) -> None:
    old = random_scenario(rng)
    new = changed(rng, old)
    found = difference(old.policy, new.policy, old.directory)
    for node in old.directory.nodes:
        granted = [
            PeerCapabilities(scenario.network.packet_filters[node.index]) for scenario in (old, new)
        ]
        for source in old.directory.by_address:
            for own in node.addresses:
                if own.version != source.version:
                    continue
                names = [set(each.granted(source, own) or {}) for each in granted]
                told = {
                    str(service).partition(" ")[0]
                    for change in found.access
                    if change.receiver == node.index
                    and source in change.sources
                    and own in change.destinations
                    for service, _ in change.services
                    if isinstance(service, str)
                }
                assert names[0] ^ names[1] <= told


@given(randoms)
@quiet
def test_same_policy_differs_in_nothing(rng: Random) -> None:
    scenario = random_scenario(rng)
    assert difference(scenario.policy, scenario.policy, scenario.directory).is_empty
