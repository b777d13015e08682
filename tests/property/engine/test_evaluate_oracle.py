"""The fast evaluator against the slow one, which shares no code with it."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.evaluate import (
    FilterEvaluator,
    PacketFilter,
    Reason,
    local_destinations,
    reference,
)
from engine.netset import Address, IpSet, Prefix
from tests.support.filters import (
    BLOCKS,
    HOSTS,
    PacketCase,
    boundary_flow,
    boundary_packet,
    random_filter,
)

if TYPE_CHECKING:
    from engine.rules import FilterRule

ROUTES = [text for text in BLOCKS if "-" not in text]

randoms = st.randoms(use_true_random=False)


@given(randoms)
@settings(max_examples=300)
def test_fast_and_slow_agree_on_flows(rng: Random) -> None:
    rules = random_filter(rng)
    evaluator = FilterEvaluator(rules)
    for _ in range(6):
        flow = boundary_flow(rng, rules)
        assert evaluator.decide(flow) == reference.decide(rules, flow)
        assert evaluator.allows(flow) == reference.decide(rules, flow).allowed
        assert evaluator.matching(flow) == reference.matching(rules, flow)


@given(randoms, st.booleans())
@settings(max_examples=200)
def test_fast_and_slow_agree_on_the_letter_of_rules(rng: Random, any_port: bool) -> None:
    rules = random_filter(rng)
    evaluator = FilterEvaluator(rules)
    for _ in range(4):
        flow = boundary_flow(rng, rules)
        slow = reference.covering(rules, flow, any_port=any_port)
        assert evaluator.covering(flow, any_port=any_port) == slow


@given(randoms)
@settings(max_examples=300)
def test_fast_and_slow_agree_on_packets(rng: Random) -> None:
    rules = random_filter(rng)
    for _ in range(4):
        _check_packet(rules, FilterEvaluator(rules), boundary_packet(rng, rules))


@given(
    st.lists(st.sampled_from(HOSTS), max_size=3),
    st.lists(st.sampled_from(ROUTES), max_size=4),
    st.lists(st.sampled_from(["203.0.113.0/24", "2001:db8::/32", "10.9.0.0/16"]), max_size=2),
    st.sampled_from(
        [*HOSTS, "8.8.8.8", "192.168.1.1", "172.31.0.1", "2600::1", "fd00::1", "239.1.1.1"]
    ),
)
def test_fast_and_slow_agree_on_what_is_local(
    addresses: list[str], routes: list[str], lan: list[str], destination: str
) -> None:
    fast = local_destinations(
        map(Address.parse, addresses), map(Prefix.parse, routes), map(Prefix.parse, lan)
    )
    slow = reference.is_local(destination, addresses, routes, lan)
    assert (Address.parse(destination) in fast) == slow


@given(randoms)
def test_an_added_rule_never_takes_access_away(rng: Random) -> None:
    rules = random_filter(rng)
    more = [*rules, *random_filter(rng, most_rules=2)]
    for _ in range(4):
        flow = boundary_flow(rng, more)
        before, after = FilterEvaluator(rules).decide(flow), FilterEvaluator(more).decide(flow)
        assert after == before or (after.allowed and not before.allowed)


@pytest.mark.soak
def test_fast_and_slow_agree_on_a_bulk_of_triples() -> None:
    rng = Random(20240917)  # noqa: S311  seeded test data, no secret
    seen: Counter[bool] = Counter()
    while seen.total() < 120_000:
        rules = random_filter(rng)
        evaluator = FilterEvaluator(rules)
        for _ in range(30):
            flow = boundary_flow(rng, rules)
            slow = reference.decide(rules, flow)
            assert evaluator.decide(flow) == slow, (rules, flow)
            assert evaluator.matching(flow) == reference.matching(rules, flow), (rules, flow)
            seen[slow.allowed] += 1
    # Agreement on nothing but denials would prove little.
    assert min(seen.values()) > 0.15 * seen.total(), seen


@pytest.mark.soak
def test_fast_and_slow_agree_on_a_bulk_of_packets() -> None:
    rng = Random(20250321)  # noqa: S311  seeded test data, no secret
    reasons: Counter[Reason] = Counter()
    while reasons.total() < 100_000:
        rules = random_filter(rng)
        evaluator = FilterEvaluator(rules)
        for _ in range(20):
            reasons[_check_packet(rules, evaluator, boundary_packet(rng, rules))] += 1
    # Nothing inbound is outbound, and a stateless filter revokes nothing.
    assert set(reasons) == set(Reason) - {Reason.OUTBOUND, Reason.REVOKED}
    assert min(reasons.values()) > 500, reasons


def _check_packet(rules: list[FilterRule], fast: FilterEvaluator, case: PacketCase) -> Reason:
    """Compare both directions; return the inbound reason."""
    header, local, replies, sender, link_local_allowed = case
    packets = PacketFilter(fast, IpSet.of(*local), IpSet.of(*link_local_allowed))
    allowed_ips = None if sender is None else IpSet.of(*sender)
    inbound = packets.inbound(header, replies, allowed_ips)
    assert inbound == reference.inbound(
        rules, header, local, replies, sender, link_local_allowed
    ), (rules, case)
    assert packets.outbound(header) == reference.outbound(header, link_local_allowed), case
    return inbound.reason
