from __future__ import annotations

from typing import Any

from engine.compile.plan import Plan, make_plan
from engine.resolve.selectors import Resolver
from engine.rules import ALL_PORTS, PortRange
from tests.support.small_tailnet import ADA, BEN, WILDCARD, accept, both, directory, policy

GRANT = {"src": [ADA], "dst": ["tag:shop"], "ip": ["tcp:1"]}


def plan(**sections: Any) -> Plan:
    found = policy(**sections)
    return make_plan(found, Resolver(found, directory()))


def test_nothing_written_is_one_rule_from_anybody_to_anywhere() -> None:
    [rule] = plan().network
    assert rule.origin.section == "default"
    assert rule.sources == ("10.20.0.0/16", *WILDCARD)
    assert [slot.ports for slot in rule.slots] == [(ALL_PORTS,)]


def test_rules_are_numbered_grants_first() -> None:
    found = plan(acls=[accept([BEN], ["tag:shop:1"])], grants=[GRANT | {"app": {"a.test/b": []}}])
    assert [(r.sequence, r.origin.section) for r in found.network] == [(1, "grants"), (3, "acls")]
    assert [(r.sequence, r.origin.section) for r in found.apps] == [(2, "grants")]


def test_a_rule_stands_in_the_line_of_its_bracket() -> None:
    found = policy(acls=[accept([ADA], ["tag:shop:1"])])
    [rule] = make_plan(found, Resolver(found, directory())).network
    line = found.source.text.splitlines()[rule.origin.line - 1]
    assert line.strip() == "{"


def test_sources_are_resolved_once_and_sorted() -> None:
    assert plan(acls=[accept([ADA, ADA, BEN], ["*:1"])]).network[0].sources == both(9, 10, 11)


def test_equal_selectors_share_a_slot_whatever_the_blanks() -> None:
    [rule] = plan(acls=[accept([ADA], ["tag:shop:1", " tag:shop:2 "])]).network
    assert [slot.ports for slot in rule.slots] == [(PortRange(1, 1), PortRange(2, 2))]


def test_via_and_posture_stay_marked() -> None:
    grant = GRANT | {"via": ["tag:gate"], "srcPosture": ["posture:x"]}
    [rule] = plan(postures={"posture:x": ["node:os == 'linux'"]}, grants=[grant]).network
    assert (rule.via, rule.postures) == (("tag:gate",), ("posture:x",))


def test_the_default_posture_is_for_rules_without_their_own() -> None:
    postures = {"posture:x": ["node:os == 'linux'"], "posture:y": ["node:os == 'macos'"]}
    found = plan(
        postures=postures,
        defaultSrcPosture=["posture:y"],
        grants=[GRANT, GRANT | {"srcPosture": ["posture:x"]}, GRANT | {"srcPosture": []}],
    )
    assert [rule.postures[0] for rule in found.network] == ["posture:y", "posture:x", "posture:y"]


def test_a_grant_without_capabilities_has_no_application_part() -> None:
    assert plan(grants=[GRANT | {"app": {}}]).apps == ()
