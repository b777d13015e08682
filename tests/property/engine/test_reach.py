"""What a node is told that it may reach, against the filters of those that it would reach."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from random import Random
from typing import TYPE_CHECKING

from hypothesis import HealthCheck, given, settings

from engine.compile.reach import reach_of
from engine.evaluate import FilterEvaluator, Flow, allowing_origins
from engine.evaluate.reference import decide, matching
from engine.rules import OWN_ADDRESS, FilterRule, NetPortRange
from tests.support.policies.scenario import Scenario, random_scenario, randoms

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.compile.reach import Reach
    from engine.directory import DirectoryNode

quiet = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.data_too_large])
PORTS = (0, 22, 80, 443, 8080, 65535)
PROTOCOLS = (6, 17, 1, 58, 47, 132)


def expanded(reach: tuple[Reach, ...], node: DirectoryNode) -> tuple[FilterRule, ...]:
    """Return what is told about one receiver, with its addresses in place."""
    own = {OWN_ADDRESS[address.version]: str(address) for address in node.addresses}
    return tuple(
        replace(
            each.rule,
            dst_ports=tuple(
                NetPortRange(own.get(ip, ip), ports) for ip, ports in each.rule.dst_ports
            ),
        )
        for each in reach
        if node.index in each.nodes
    )


def flows_between(asking: DirectoryNode, node: DirectoryNode, rng: Random) -> Iterator[Flow]:
    targets = [*node.addresses]
    for route in node.routes:
        version, first, last = route.range
        targets += [type(targets[0])(version, end) for end in (first, last)]
    for _ in range(12):
        src, dst = rng.choice(asking.addresses), rng.choice(targets)
        if src.version == dst.version:
            yield Flow(src.version, src.value, dst.value, rng.choice(PROTOCOLS), rng.choice(PORTS))


def check_reach(scenario: Scenario, rng: Random) -> int:
    """Compare verdicts and origins; return how many flows were allowed."""
    filters = scenario.network.packet_filters
    allowed = 0
    for asking in islice(scenario.directory.nodes, 6):
        reach = reach_of(scenario.directory, filters, asking.index)
        for node in scenario.directory.nodes:
            if node.index == asking.index:
                continue
            rules = expanded(reach, node)
            told = FilterEvaluator(rules)
            held = FilterEvaluator(filters[node.index])
            for flow in flows_between(asking, node, rng):
                assert told.allows(flow) == held.allows(flow), (flow, scenario.document)
                allowed += check_origins(filters[node.index], rules, flow)
    return allowed


def check_origins(held: tuple[FilterRule, ...], told: tuple[FilterRule, ...], flow: Flow) -> bool:
    """Every policy rule that the receiver would credit is told, and no other."""
    by_receiver = {o for i in matching(held, flow) for o in allowing_origins(held[i], flow)}
    by_asking = {o for i in matching(told, flow) for o in allowing_origins(told[i], flow)}
    assert by_receiver == by_asking
    assert bool(by_receiver) == (decide(held, flow).rule is not None)
    return bool(by_receiver)


def check_sources(scenario: Scenario) -> None:
    """Nothing about any other source is told."""
    for asking in scenario.directory.nodes:
        own = {str(address) for address in asking.addresses}
        for each in reach_of(scenario.directory, scenario.network.packet_filters, asking.index):
            assert set(each.rule.src_ips) <= own
            assert asking.index not in each.nodes


@quiet
@given(randoms)
def test_a_node_is_told_what_others_let_it_do_and_by_which_rule(rng: Random) -> None:
    scenario = random_scenario(rng)
    check_reach(scenario, rng)
    check_sources(scenario)


def test_the_comparison_sees_allowed_flows() -> None:
    rng = Random(7)  # noqa: S311  seeded test data, no secret
    assert sum(check_reach(random_scenario(rng), rng) for _ in range(8)) > 50
