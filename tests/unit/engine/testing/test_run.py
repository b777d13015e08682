"""A policy's own tests as the service judges them: policy reference 8."""

from __future__ import annotations

from typing import Any

import pytest

from engine.testing.report import CaseResult, Outcome
from engine.testing.run import run_tests
from tests.support.small_tailnet import (
    ADA,
    BEN,
    BRICK,
    EXITS,
    SHOP,
    SITE,
    SLATE,
    accept,
    device,
    directory,
    policy,
    v4,
    v6,
)

HOSTS = {"till": v4(20), "site": SITE, "one": "10.20.0.1/32"}
GROUPS = {"group:two": [ADA, BEN], "group:none": []}


def run(case: dict[str, Any], *devices: dict[str, Any], **sections: Any) -> CaseResult:
    """Run one entry of `tests` with an inventory."""
    defined = policy(tests=[case], hosts=HOSTS, groups=GROUPS, **sections)
    [result] = run_tests(defined, directory(*devices), defined.tests, ()).results
    return result


def passes(case: dict[str, Any], *devices: dict[str, Any], **sections: Any) -> bool:
    outcome = run(case, *devices, **sections).outcome
    assert outcome is not Outcome.UNDECIDED
    return outcome is Outcome.PASSED


TO_SHOP = [accept([ADA], ["tag:shop:443"])]


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        ({"src": ADA, "accept": ["tag:shop:443"]}, True),
        ({"src": ADA, "accept": ["tag:shop:444"]}, False),
        ({"src": ADA, "deny": ["tag:shop:444"]}, True),
        ({"src": ADA, "deny": ["tag:shop:443"]}, False),
        ({"src": BEN, "deny": ["tag:shop:443"]}, True),
        ({"src": ADA, "accept": ["till:443"]}, True),
        ({"src": ADA, "accept": [f"{v4(20)}:443"]}, True),
        ({"src": ADA, "accept": [f"[{v6(20)}]:443"]}, True),
        ({"src": v4(9), "accept": ["tag:shop:443"]}, True),
        ({"src": v4(99), "deny": ["tag:shop:443"]}, True),
        ({"src": ADA, "proto": "udp", "accept": ["tag:shop:443"]}, True),
        ({"src": ADA, "proto": "sctp", "accept": ["tag:shop:443"]}, False),
        ({"src": ADA, "accept": ["tag:shop:443"], "deny": ["tag:vault:443"]}, True),
        ({"src": ADA, "accept": ["tag:shop:443", "tag:vault:443"]}, False),
    ],
)
def test_an_entry_is_held_against_the_rules(case: dict[str, Any], expected: bool) -> None:
    assert passes(case, acls=TO_SHOP) is expected


def test_every_source_must_be_accepted() -> None:
    assert not passes({"src": "group:two", "accept": ["tag:shop:443"]}, acls=TO_SHOP)


def test_a_partly_accepted_source_counts_as_denied() -> None:
    assert passes({"src": "group:two", "deny": ["tag:shop:443"]}, acls=TO_SHOP)


def test_one_destination_of_several_suffices() -> None:
    more = device("more", 50, tags=["tag:shop"])
    acls = [accept([ADA], [f"{v4(20)}:443", f"[{v6(20)}]:443"])]
    assert passes({"src": ADA, "accept": ["tag:shop:443"]}, SLATE, SHOP, more, acls=acls)


def test_addresses_are_compared_within_their_version() -> None:
    acls = [accept([ADA], [f"{v4(20)}:443"])]
    assert passes({"src": v4(9), "accept": [f"{v4(20)}:443"]}, acls=acls)
    assert not passes({"src": ADA, "accept": ["tag:shop:443"]}, acls=acls)
    four = device("four", 51, user=ADA, addresses=[v4(51)])
    assert passes({"src": ADA, "accept": ["tag:shop:443"]}, four, SHOP, acls=acls)


@pytest.mark.parametrize(
    "case",
    [
        {"src": "nobody@mesh.test", "deny": ["tag:shop:443"]},
        {"src": "group:none", "deny": ["tag:shop:443"]},
        {"src": ADA, "deny": ["tag:gate:443"]},
    ],
)
def test_a_party_without_devices_fails_even_a_denial(case: dict[str, Any]) -> None:
    assert not passes(case, SLATE, SHOP, BRICK, acls=TO_SHOP)


def test_self_and_via_take_no_part() -> None:
    own = [accept(["autogroup:member"], ["autogroup:self:*"])]
    assert passes({"src": ADA, "deny": [f"{ADA}:22"]}, acls=own)
    via = [{"src": [ADA], "dst": [SITE], "ip": ["*"], "via": ["tag:gate"]}]
    assert passes({"src": ADA, "deny": ["one:22"]}, grants=via)


def test_whether_a_router_serves_the_destination_does_not_matter() -> None:
    acls = [accept([ADA], ["192.168.0.0/16:*"])]
    assert passes({"src": ADA, "accept": ["192.168.7.7:22"]}, acls=acls)


def test_without_a_protocol_tcp_or_udp_suffices() -> None:
    for proto in ("tcp", "udp"):
        acls = [accept([ADA], ["tag:shop:443"], proto=proto)]
        assert passes({"src": ADA, "accept": ["tag:shop:443"]}, acls=acls)
    assert passes(
        {"src": ADA, "deny": ["tag:shop:443"]}, acls=[accept([ADA], ["*:*"], proto="icmp")]
    )


def test_port_zero_asks_about_icmp() -> None:
    acls = [accept([ADA], ["tag:shop:*"], proto="icmp")]
    assert passes({"src": ADA, "proto": "icmp", "accept": ["tag:shop:0"]}, acls=acls)


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [({"node:os": "linux"}, True), ({"node:os": "js"}, False), ({}, False)],
)
def test_a_posture_is_judged_by_the_attributes_of_the_test(
    attributes: dict[str, str], expected: bool
) -> None:
    case = {"src": ADA, "accept": ["tag:shop:443"], "srcPostureAttrs": attributes}
    acls = [accept([ADA], ["tag:shop:443"], srcPosture=["posture:x"])]
    postures = {"posture:x": ["node:os == 'linux'"]}
    assert passes(case, acls=acls, postures=postures) is expected


def test_without_attributes_a_guarded_rule_does_not_apply() -> None:
    acls = [accept([ADA], ["tag:shop:443"], srcPosture=["posture:x"])]
    postures = {"posture:x": ["node:os NOT SET"]}
    assert passes({"src": ADA, "deny": ["tag:shop:443"]}, acls=acls, postures=postures)


@pytest.mark.parametrize(
    ("case", "why"),
    [
        ({"accept": ["tag:shop:443"]}, "src is missing"),
        ({"src": "", "accept": ["tag:shop:443"]}, "src is missing"),
        ({"src": "tag:none", "accept": ["tag:shop:443"]}, "tag not found: tag:none"),
        ({"src": "group:gone", "accept": ["tag:shop:443"]}, "group not found: group:gone"),
        ({"src": "what", "accept": ["tag:shop:443"]}, "host alias not found: what"),
        ({"src": "*", "accept": ["tag:shop:443"]}, "a wildcard cannot be the source of a test"),
        ({"src": "site", "accept": ["tag:shop:443"]}, "site is a network"),
        ({"src": "autogroup:self", "accept": ["tag:shop:443"]}, "cannot be the source of a test"),
        ({"src": ADA}, "nothing is asserted: neither accept nor deny"),
        ({"src": ADA, "accept": []}, "nothing is asserted"),
        ({"src": ADA, "accept": ["tag:shop"]}, "invalid first integer"),
        ({"src": ADA, "accept": ["till"]}, "a destination ends in a port"),
        ({"src": ADA, "accept": ["tag:shop:*"]}, '"*" is not one port'),
        ({"src": ADA, "accept": ["tag:shop:1-2"]}, '"1-2" is not one port'),
        ({"src": ADA, "accept": ["tag:shop:1,2"]}, '"1,2" is not one port'),
        ({"src": ADA, "accept": ["tag:shop:http"]}, "invalid first integer"),
        ({"src": ADA, "accept": ["tag:shop:0"]}, "first port must be >0"),
        ({"src": ADA, "accept": ["10.20.0.1/32:22"]}, "not for a CIDR"),
        ({"src": ADA, "accept": ["site:22"]}, "site is a network"),
        ({"src": ADA, "accept": ["autogroup:internet:443"]}, "only suites may ask"),
        ({"src": ADA, "accept": ["autogroup:self:22"]}, "cannot be the destination of a test"),
        ({"src": ADA, "accept": ["*:22"]}, "cannot be the destination of a test"),
        ({"src": ADA, "deny": ["tag:none:22"]}, "tag not found: tag:none"),
        ({"src": ADA, "proto": "nope", "accept": ["tag:shop:22"]}, 'proto name "nope" not known'),
        ({"src": ADA, "proto": "icmp", "accept": ["tag:shop:*"]}, '"*" is not one port'),
    ],
)
def test_a_malformed_entry_fails_in_the_services_words_and_says_why_in_ours(
    case: dict[str, Any], why: str
) -> None:
    result = run(case, acls=TO_SHOP)
    [found] = result.diagnostics
    assert (result.outcome, found.message) == (Outcome.FAILED, "test(s) failed")
    assert why in (found.help or "")
    assert found.code == "POL502"


def test_a_single_address_is_one_whatever_its_spelling() -> None:
    assert passes({"src": ADA, "accept": ["one:22"]}, acls=[accept([ADA], ["10.20.0.0/24:22"])])


def test_a_failure_names_the_assertion_and_what_it_wanted() -> None:
    [found] = run({"src": BEN, "accept": ["tag:shop:443"]}, acls=TO_SHOP).diagnostics
    assert found.code == "POL501"
    assert found.help == (
        f"{BEN} to tag:shop:443 (tcp or udp): want accept, got deny; no rule allows it"
    )


def test_a_failed_denial_names_the_rule_that_allows_it() -> None:
    result = run({"src": ADA, "deny": ["tag:shop:443"]}, acls=TO_SHOP)
    [found] = result.diagnostics
    assert found.help is not None
    assert "want deny, got accept; allowed by acls[0] (small.hujson:" in found.help
    text = found.source.text
    assert text[found.span.start : found.span.end] == "tag:shop:443"
    assert [text[r.span.start] for r in found.related] == ["{"]


def test_many_allowing_rules_are_counted_not_listed() -> None:
    acls = [accept([ADA], ["tag:shop:443"]) for _ in range(5)]
    [found] = run({"src": ADA, "deny": ["tag:shop:443"]}, acls=acls).diagnostics
    assert found.help is not None
    assert found.help.endswith("and 2 more")


def test_the_default_of_allowing_everything_is_named() -> None:
    [found] = run({"src": ADA, "deny": ["tag:shop:443"]}).diagnostics
    assert "the default of allowing everything" in (found.help or "")


def test_titles_count_entries_and_name_sources() -> None:
    assert run({"src": ADA, "accept": ["tag:shop:443"]}, acls=TO_SHOP).title == f"tests[0] {ADA}"


def test_a_report_counts_and_gathers() -> None:
    cases = [
        {"src": ADA, "accept": ["tag:shop:443"]},
        {"src": ADA, "deny": ["tag:shop:443"]},
        {"src": v4(10), "accept": ["tag:shop:443"]},
    ]
    defined = policy(tests=cases, acls=TO_SHOP)
    exact = run_tests(defined, directory(), defined.tests, ())
    assert (exact.passed, exact.failed, exact.undecided) == (2, 1, 0)
    vague = run_tests(defined, None, defined.tests, ())
    assert (vague.passed, vague.failed, vague.undecided) == (1, 1, 1)
    assert [found.code for found in vague.diagnostics] == ["POL501", "POL505"]


def test_an_undecided_assertion_says_how_to_decide_it() -> None:
    defined = policy(tests=[{"src": v4(10), "accept": ["tag:shop:443"]}], acls=TO_SHOP)
    [found] = run_tests(defined, None, defined.tests, ()).diagnostics
    assert found.message == "undecided without an inventory: tag:shop:443"
    assert "depends on which devices there are (acls[0]" in (found.help or "")
    assert "--inventory" in (found.help or "")


def test_no_inventory_is_needed_where_names_decide() -> None:
    defined = policy(tests=[{"src": BEN, "deny": ["tag:shop:443"]}], acls=TO_SHOP)
    assert run_tests(defined, None, defined.tests, ()).passed == 1


def test_exit_routes_open_no_destination() -> None:
    port = device("port", 23, tags=["tag:port"], routes=EXITS)
    assert not passes({"src": ADA, "accept": ["8.8.8.8:53"]}, SLATE, port, acls=TO_SHOP)
