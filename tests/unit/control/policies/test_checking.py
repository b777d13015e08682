"""Which texts are refused, and which tests may wait for devices."""

from __future__ import annotations

from typing import Any

from control.policies.checking import check_policy
from engine.directory import Directory
from tests.support.small_tailnet import ADA, BEN, SLATE, directory

EMPTY = Directory((), ())
FAILING = (
    '{"hosts": {"a": "100.64.0.9", "b": "100.64.0.8"}, "acls": [],'
    ' "tests": [{"src": "a", "accept": ["b:22"]}]}'
)


def document(test: str, *, acl: str = f'["{ADA}"]', extra: str = "") -> str:
    return f"""{{
  "tagOwners": {{"tag:shop": []}},
  "acls": [{{"action": "accept", "src": {acl}, "dst": ["tag:shop:443"]}}],
  "tests": [{test}]{extra}
}}"""


ACCEPT = f'{{"src": "{ADA}", "accept": ["tag:shop:443"]}}'
DENY = f'{{"src": "{BEN}", "deny": ["tag:shop:443"]}}'


def test_text_with_failing_tests_is_refused() -> None:
    checked = check_policy(FAILING, EMPTY)
    assert checked.policy is None
    assert any("POL5" in problem for problem in checked.problems)
    assert checked.message == "test(s) failed"
    [failed] = checked.failed
    assert (failed.source, failed.may_wait) == ("a", False)


def test_problems_name_their_place_and_the_way_out() -> None:
    (problem, *_) = check_policy('{"acls": [', None, name="the-file").problems
    assert problem.startswith("the-file:1:")
    (problem,) = check_policy('{"acls": [{"action": "accept", "src": ["tag:x"]}]}', None).problems
    assert "define it in `tagOwners`" in problem


def test_refusal_on_an_empty_tailnet_says_who_is_missing_and_what_to_do() -> None:
    checked = check_policy(document(ACCEPT), EMPTY)
    assert checked.policy is None
    test, advice = checked.problems
    assert f"no device is {ADA}" in test
    assert f"there is no user {ADA}" in test
    assert "--pending-tests" in advice
    assert check_policy(document(ACCEPT), directory(SLATE)).policy is None


def test_user_without_a_device_is_told_from_no_user() -> None:
    checked = check_policy(document(DENY), directory(SLATE))
    assert f"{BEN} has no device" in checked.problems[0]


def test_tests_about_nobody_wait_if_asked_to() -> None:
    for test in (ACCEPT, DENY):
        checked = check_policy(document(test), EMPTY, may_wait=True)
        assert checked.policy is not None
        assert len(checked.waiting) == 1


def refused(text: str, known: Any = EMPTY) -> str:
    checked = check_policy(text, known, may_wait=True)
    assert checked.policy is None
    return " ".join(checked.problems)


def test_test_that_the_policy_contradicts_on_every_tailnet_waits_for_nothing() -> None:
    assert "POL501" in refused(document(f'{{"src": "{ADA}", "deny": ["tag:shop:443"]}}'))
    assert "POL501" in refused(document(f'{{"src": "{BEN}", "accept": ["tag:shop:443"]}}'))


def test_test_that_makes_no_sense_waits_for_nothing() -> None:
    assert "POL502" in refused(document(f'{{"src": "{ADA}", "accept": ["tag:shop"]}}'))


def test_test_that_fails_for_those_who_are_there_waits_for_nothing() -> None:
    both = f'{{"src": "{ADA}", "accept": ["tag:shop:443", "{ADA}:22"]}}'
    assert "POL501" in refused(document(both), directory(SLATE))


def test_one_bad_test_is_refused_beside_others_that_would_wait() -> None:
    bad = f'{{"src": "{ADA}", "deny": ["tag:shop:443"]}}'
    text = refused(document(f"{ACCEPT}, {bad}"))
    assert text.count("POL501") == 1


def test_ssh_test_about_nobody_waits_too() -> None:
    ssh = f"""{{"src": "{ADA}", "dst": ["tag:shop"], "accept": ["root"]}}"""
    rule = f'{{"action":"accept","src":["{ADA}"],"dst":["tag:shop"],"users":["root"]}}'
    text = document("", extra=f',\n "ssh": [{rule}], "sshTests": [{ssh}]')
    checked = check_policy(text, EMPTY, may_wait=True)
    assert checked.policy is not None
    assert len(checked.waiting) == 1
    assert "POL503" in refused(text.replace('"accept": ["root"]', '"deny": ["root"]'))
