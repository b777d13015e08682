from __future__ import annotations

import pytest

from engine.evaluate import FRAGMENT, UNKNOWN, FilterEvaluator, Flow, Reason
from engine.rules import (
    ALL_PORTS,
    CapGrant,
    FilterRule,
    MalformedRuleError,
    NetPortRange,
    Origin,
    PortRange,
)

ANN = ("100.64.0.10", "100.64.0.9", "fd7a:115c:a1e0::9", "fd7a:115c:a1e0::a")
WEB4, WEB6 = "100.64.0.20", "fd7a:115c:a1e0::14"
LAP4, LAP6, PAD4 = "100.64.0.9", "fd7a:115c:a1e0::9", "100.64.0.11"
HTTPS, SSH = PortRange(443, 443), PortRange(22, 22)

FILTER = (
    FilterRule(
        ANN,
        (NetPortRange(WEB4, HTTPS), NetPortRange(WEB6, HTTPS)),
        (6,),
        origins=(Origin("acls", 0, 3),),
    ),
    FilterRule(ANN, cap_grants=(CapGrant(("100.64.0.20/32",), {"corp.test/cap/x": []}),)),
    FilterRule(("*",), (NetPortRange(WEB4, SSH), NetPortRange(WEB4, HTTPS))),
    FilterRule(("100.64.0.11",), (NetPortRange("10.9.0.0/16", ALL_PORTS),), (6, 47, 132)),
)
EVALUATOR = FilterEvaluator(FILTER)


@pytest.mark.parametrize(
    ("src", "dst", "proto", "port", "rule"),
    [
        (LAP4, WEB4, 6, 443, 0),
        (LAP6, WEB6, 6, 443, 0),
        (PAD4, WEB4, 6, 443, 2),
        (PAD4, WEB4, 17, 22, 2),
        (LAP4, WEB4, 6, 444, None),
        (LAP4, WEB4, 17, 443, 2),
        (LAP6, WEB6, 17, 443, None),
        (LAP4, "100.64.0.21", 6, 443, None),
        # Ping needs a rule for the addresses only; the other version's ICMP is a stranger.
        (LAP6, WEB6, 58, 0, 0),
        (LAP4, WEB4, 1, 0, 0),
        (LAP6, WEB6, 1, 0, None),
        (LAP4, "10.9.0.1", 1, 0, None),
        (PAD4, "10.9.0.1", 1, 0, 3),
        # SCTP and other protocols have to be listed, the latter with all ports.
        (PAD4, WEB4, 132, 22, None),
        (PAD4, "10.9.0.1", 132, 22, 3),
        (PAD4, "10.9.0.1", 47, 0, 3),
        (PAD4, "10.9.0.1", 50, 0, None),
        (PAD4, "10.9.0.1", 17, 53, None),
    ],
)
def test_the_first_rule_that_allows_is_named(
    src: str, dst: str, proto: int, port: int, rule: int | None
) -> None:
    verdict = EVALUATOR.decide(Flow.of(src, dst, proto, port))
    assert verdict.rule_index == rule
    assert verdict.allowed is (rule is not None)
    assert verdict.reason is (Reason.NO_RULE if rule is None else Reason.RULE)
    assert verdict.rule is (None if rule is None else FILTER[rule])


def test_a_verdict_leads_back_to_the_policy() -> None:
    assert EVALUATOR.decide(Flow.of(LAP4, WEB4, 6, 443)).origins == (Origin("acls", 0, 3),)


def test_the_same_question_gets_the_same_answer_again() -> None:
    flow = Flow.of(LAP4, WEB4, 6, 443)
    assert EVALUATOR.decide(flow) is EVALUATOR.decide(Flow(*flow))


def test_a_plain_tuple_is_as_good_as_a_flow() -> None:
    flow = Flow.of(LAP4, WEB4, 6, 443)
    assert FilterEvaluator(FILTER).decide(tuple(flow)).rule_index == 0  # type: ignore[arg-type]


def test_all_rules_that_allow_are_found() -> None:
    assert EVALUATOR.matching(Flow.of(LAP4, WEB4, 6, 443)) == (0, 2)
    assert EVALUATOR.matching(Flow.of(LAP4, WEB4, 6, 80)) == ()


def test_by_the_letter_icmp_must_be_covered_too() -> None:
    ping = Flow.of(LAP4, WEB4, 1, 0)
    assert EVALUATOR.matching(ping) == (0, 2)
    assert EVALUATOR.covering(ping) == ()
    assert EVALUATOR.covering(ping, any_port=True) == (2,)


def test_tsmp_passes_without_a_rule() -> None:
    verdict = FilterEvaluator([]).decide(Flow.of(LAP4, WEB4, 99))
    assert (verdict.allowed, verdict.reason) == (True, Reason.TSMP)
    assert EVALUATOR.matching(Flow.of(LAP4, WEB4, 99)) == ()


@pytest.mark.parametrize("proto", [UNKNOWN, FRAGMENT])
def test_no_rule_reaches_a_pseudo_protocol(proto: int) -> None:
    rule = FilterRule(("*",), (NetPortRange("*", ALL_PORTS),), (0, 255))
    assert not FilterEvaluator([rule]).allows(Flow.of(LAP4, WEB4, proto))


def test_two_halves_of_all_ports_open_no_protocol_without_ports() -> None:
    halves = (PortRange(0, 99), PortRange(100, 65535))
    rule = FilterRule(("*",), tuple(NetPortRange("*", half) for half in halves), (47,))
    assert not FilterEvaluator([rule]).allows(Flow.of(LAP4, WEB4, 47))


@pytest.mark.parametrize(("port", "allowed"), [(21, False), (22, True), (23, False)])
@pytest.mark.parametrize("proto", [6, 17, 132])
def test_protocols_with_ports_are_held_to_them(proto: int, port: int, allowed: bool) -> None:
    rule = FilterRule(("*",), (NetPortRange("*", SSH),), (6, 17, 132))
    assert FilterEvaluator([rule]).allows(Flow.of(LAP4, WEB4, proto, port)) is allowed


def test_an_empty_filter_denies() -> None:
    assert not FilterEvaluator([]).allows(Flow.of(LAP4, WEB4, 6, 443))


def test_a_rule_without_sources_denies() -> None:
    rule = FilterRule((), (NetPortRange("*", ALL_PORTS),))
    assert not FilterEvaluator([rule]).allows(Flow.of(LAP4, WEB4, 6, 443))


def test_an_unreadable_filter_is_refused_whole() -> None:
    bad = FilterRule(("100.64.0.0/33",), (NetPortRange("*", ALL_PORTS),))
    with pytest.raises(MalformedRuleError, match=r"filter rule 4: '100\.64\.0\.0/33'"):
        FilterEvaluator([*FILTER, bad])


def test_verdicts_stay_right_past_what_is_remembered() -> None:
    evaluator = FilterEvaluator(FILTER)
    base = Flow.of("100.64.0.9", "0.0.0.0", 6, 443)
    flows = [base._replace(dst=dst) for dst in range(70_000)]
    assert not any(evaluator.allows(flow) for flow in flows)
    assert evaluator.decide(Flow.of(LAP4, WEB4, 6, 443)).rule_index == 0
