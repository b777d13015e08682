"""The compiler and the fast evaluator against oracles that share no code with them."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings

from engine.evaluate.capabilities import PeerCapabilities
from tests.support.oracle.lists import LiteralCompiler
from tests.support.policies.documents import without_postures
from tests.support.policies.scenario import Scenario, as_flow, random_scenario, randoms

if TYPE_CHECKING:
    from tests.support.oracle.literal import Asked

# A scenario draws some hundred numbers; hypothesis counts each.
quiet = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.data_too_large])


def check_flow(scenario: Scenario, asked: Asked) -> bool:
    """Compare one verdict, and the policy rules behind it; return the verdict."""
    matching = scenario.oracle.matching(asked)
    allowed = scenario.oracle.allows(asked)
    assert scenario.allows(asked) == allowed, (asked, scenario.document, scenario.inventory)
    evaluator = scenario.evaluator(asked.receiver)
    found = [evaluator.rules[index] for index in evaluator.matching(as_flow(asked))]
    named = [{(o.section, o.position) for o in rule.origins} for rule in found]
    # Every policy rule that allows the flow is named, and every filter rule names such a one.
    assert set(matching) <= set().union(*named), (asked, scenario)
    assert all(origins & set(matching) for origins in named), (asked, scenario)
    return allowed


def check_lists(scenario: Scenario) -> int:
    """Compare every device's filter, order included; return how many devices there are."""
    bare = Scenario(without_postures(scenario.document), scenario.inventory)
    literal = LiteralCompiler(bare.document, bare.inventory)
    for node, rules in zip(bare.directory.nodes, bare.network.packet_filters, strict=True):
        wire = [rule.to_wire() for rule in rules]
        assert wire == literal.compile(node.hostname), (node.hostname, bare)
    return len(bare.directory.nodes)


def check_capabilities(scenario: Scenario) -> Counter[bool]:
    """Compare what every device may do to every other one's applications."""
    seen: Counter[bool] = Counter()
    for receiver, rules in zip(
        scenario.directory.nodes, scenario.network.packet_filters, strict=True
    ):
        granted = PeerCapabilities(rules)
        for source in scenario.directory.nodes:
            for src in source.addresses:
                for dst in receiver.addresses:
                    if src.version == dst.version:
                        held = set(granted.granted(src, dst) or ())
                        seen[bool(held)] += 1
                        assert held == scenario.oracle.capabilities(
                            str(src), str(dst), receiver.hostname
                        ), (source.hostname, receiver.hostname, scenario)
    return seen


@given(randoms)
@quiet
def test_a_verdict_is_what_the_rules_say_one_by_one(rng: Random) -> None:
    scenario = random_scenario(rng)
    for _ in range(12):
        check_flow(scenario, scenario.flows.flow(rng))


@given(randoms)
@quiet
def test_a_filter_is_the_global_list_reduced(rng: Random) -> None:
    check_lists(random_scenario(rng))


@given(randoms)
@quiet
def test_capabilities_are_what_the_grants_say_one_by_one(rng: Random) -> None:
    check_capabilities(random_scenario(rng))


@pytest.mark.soak
def test_verdicts_agree_on_a_bulk_of_triples() -> None:
    rng = Random(20260101)  # noqa: S311  seeded test data, no secret
    seen: Counter[bool] = Counter()
    while seen.total() < 120_000:
        scenario = random_scenario(rng)
        for _ in range(12):
            seen[check_flow(scenario, scenario.flows.flow(rng))] += 1
    # Agreement on nothing but denials would prove little.
    assert min(seen.values()) > 0.12 * seen.total(), seen


@pytest.mark.soak
def test_filters_agree_on_a_bulk_of_devices() -> None:
    rng = Random(20260202)  # noqa: S311  seeded test data, no secret
    devices = 0
    while devices < 30_000:
        devices += check_lists(random_scenario(rng))


@pytest.mark.soak
def test_capabilities_agree_on_a_bulk_of_pairs() -> None:
    rng = Random(20260303)  # noqa: S311  seeded test data, no secret
    seen: Counter[bool] = Counter()
    while seen.total() < 100_000:
        seen += check_capabilities(random_scenario(rng))
    assert min(seen.values()) > 0.02 * seen.total(), seen
