"""SSH tests: policy reference 8.3 and 6.4."""

from __future__ import annotations

from typing import Any

import pytest

from engine.compile.ssh import SshPolicyRule
from engine.origin import Origin
from engine.testing.report import CaseResult, Outcome
from engine.testing.run import run_tests
from engine.testing.ssh import Login, evaluate_login
from tests.support.small_tailnet import ADA, BEN, directory, policy, v4


def rule(users: dict[str, str], *, check: bool = False, src: str = v4(9)) -> SshPolicyRule:
    return SshPolicyRule((src,), users, check, (), (), False, None, Origin("ssh", 0, 1))


@pytest.mark.parametrize(
    ("rules", "account", "expected"),
    [
        ([], "root", Login.DENY),
        ([rule({"root": "root"})], "root", Login.ACCEPT),
        ([rule({"root": "root"}, check=True)], "root", Login.CHECK),
        ([rule({"root": ""})], "root", Login.DENY),
        ([rule({"root": "", "*": "="})], "root", Login.DENY),
        ([rule({"*": "="})], "root", Login.DENY),
        ([rule({"root": "", "*": "="})], "eve", Login.ACCEPT),
        ([rule({"eve": "eve"})], "bob", Login.DENY),
        ([rule({"eve": ""}), rule({"*": "="})], "eve", Login.ACCEPT),
        ([rule({"*": "="}, check=True), rule({"eve": "eve"})], "eve", Login.CHECK),
        ([rule({"*": "="}, src=v4(10)), rule({"eve": "eve"})], "eve", Login.ACCEPT),
    ],
)
def test_the_first_rule_that_maps_the_account_decides(
    rules: list[SshPolicyRule], account: str, expected: Login
) -> None:
    assert evaluate_login(rules, v4(9), account) is expected


RULES = [
    {"action": "accept", "src": [ADA], "dst": ["tag:shop"], "users": ["root", "deploy"]},
    {"action": "check", "src": [BEN], "dst": ["tag:shop"], "users": ["deploy"]},
]


def run(case: dict[str, Any], *, imagined: bool = False, **sections: Any) -> CaseResult:
    defined = policy(**({"ssh": RULES, "sshTests": [case]} | sections))
    known = None if imagined else directory()
    [result] = run_tests(defined, known, (), defined.ssh_tests).results
    return result


CASES = [
    ({"src": ADA, "dst": ["tag:shop"], "accept": ["root", "deploy"]}, True),
    ({"src": ADA, "dst": ["tag:shop"], "deny": ["root"]}, False),
    ({"src": ADA, "dst": ["tag:shop"], "check": ["root"]}, False),
    ({"src": BEN, "dst": ["tag:shop"], "check": ["deploy"], "deny": ["root"]}, True),
    ({"src": BEN, "dst": ["tag:shop"], "accept": ["deploy"]}, False),
    ({"src": ADA, "dst": ["tag:vault"], "deny": ["root"]}, True),
    ({"src": ADA, "dst": ["tag:shop", "tag:vault"], "accept": ["root"]}, False),
    ({"src": "tag:vault", "dst": ["tag:shop"], "deny": ["root"]}, True),
]


@pytest.mark.parametrize("imagined", [False, True])
@pytest.mark.parametrize(("case", "expected"), CASES)
def test_an_entry_is_held_against_the_ssh_rules(
    case: dict[str, Any], expected: bool, imagined: bool
) -> None:
    outcome = run(case, imagined=imagined).outcome
    assert outcome is (Outcome.PASSED if expected else Outcome.FAILED)


@pytest.mark.parametrize(
    ("case", "why"),
    [
        ({"dst": ["tag:shop"], "accept": ["root"]}, "src is missing"),
        ({"src": ADA, "accept": ["root"]}, "dst is missing"),
        ({"src": ADA, "dst": ["tag:shop"]}, "nothing is asserted"),
        ({"src": ADA, "dst": ["tag:shop"], "accept": [""]}, "an empty account name"),
        ({"src": "tag:none", "dst": ["tag:shop"], "accept": ["a"]}, "tag not found: tag:none"),
        ({"src": "*", "dst": ["tag:shop"], "accept": ["a"]}, "cannot take part in an ssh test"),
    ],
)
def test_a_malformed_entry_fails_and_says_why(case: dict[str, Any], why: str) -> None:
    result = run(case)
    assert result.outcome is Outcome.FAILED
    assert {found.message for found in result.diagnostics} == {"test(s) failed"}
    assert any(why in (found.help or "") for found in result.diagnostics)


def test_a_destination_without_devices_fails() -> None:
    result = run({"src": ADA, "dst": ["no@mesh.test"], "deny": ["root"]})
    assert result.outcome is Outcome.FAILED
    assert "no device is no@mesh.test" in (result.diagnostics[0].help or "")


def test_a_failure_says_what_was_wanted_and_what_came() -> None:
    [found] = run({"src": BEN, "dst": ["tag:shop"], "accept": ["deploy"]}).diagnostics
    assert found.help == f"{BEN} to tag:shop as deploy: want accept, got check"


def test_a_literal_source_needs_no_device() -> None:
    case = {"src": v4(9), "dst": ["tag:shop"], "accept": ["root"]}
    assert run(case).outcome is Outcome.PASSED


@pytest.mark.parametrize(
    "sections",
    [
        {"sshTests": [{"src": v4(9), "dst": ["tag:shop"], "accept": ["root"]}]},
        {"ssh": [RULES[0] | {"src": ["autogroup:owner"]}]},
        {
            "ssh": [RULES[0] | {"srcPosture": ["posture:x"]}],
            "postures": {"posture:x": ["node:os == 'linux'"]},
        },
    ],
)
def test_what_only_an_inventory_knows_is_undecided_without(sections: dict[str, Any]) -> None:
    case = {"src": ADA, "dst": ["tag:shop"], "accept": ["root"]}
    assert run(case, imagined=True, **sections).outcome is Outcome.UNDECIDED


def test_members_of_a_group_that_differ_are_undecided_without_an_inventory() -> None:
    groups = {"group:two": [ADA, BEN]}
    case = {"src": "group:two", "dst": ["tag:shop"], "accept": ["root"]}
    assert run(case, imagined=True, groups=groups).outcome is Outcome.UNDECIDED
    assert run(case, groups=groups).outcome is Outcome.FAILED


def test_what_no_member_of_a_group_may_do_is_decided() -> None:
    groups = {"group:two": [ADA, BEN]}
    case = {"src": "group:two", "dst": ["tag:shop"], "check": ["root"]}
    assert run(case, imagined=True, groups=groups).outcome is Outcome.FAILED
