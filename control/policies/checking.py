"""Checks a policy text: that it loads, and that its own tests pass on the tailnet as it is.

On a tailnet that is still empty, tests about names that no device has fail, as they do on the
service. Whoever sets a policy may say that such tests are to wait. They wait only if nothing else
is wrong with them and the policy alone does not contradict them already; all other tests are
judged as ever.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from engine.testing.report import Outcome
from engine.testing.run import run_tests
from policy.diagnostics.diagnostic import Severity
from policy.hujson.parse import parse
from policy.hujson.standard import standardize
from policy.load import load
from policy.source import Source

if TYPE_CHECKING:
    from collections.abc import Iterable

    from engine.directory import Directory
    from engine.testing.report import CaseResult
    from policy.diagnostics.diagnostic import Diagnostic
    from policy.model.document import Policy

__all__ = ["Checked", "FailedTest", "check_policy", "failed_tests", "spelled", "with_other_tests"]

TESTS_FAILED = "test(s) failed"


class FailedTest(NamedTuple):
    """One of a policy's own tests that fails."""

    source: str
    """Who connects, as written."""
    errors: tuple[str, ...]
    """What does not hold, each with its place."""
    missing: tuple[str, ...]
    """Names that no device has, where the test fails for nothing but that."""
    may_wait: bool
    """It fails for nothing but that, and the policy alone does not contradict it."""


@dataclass(frozen=True, slots=True)
class Checked:
    """What became of a text."""

    policy: Policy | None
    """None where the text must not come into force."""
    problems: tuple[str, ...]
    """Errors and failed tests, with their places."""
    warnings: tuple[str, ...]
    message: str = ""
    """The first refusal in the service's words; empty where there is none."""
    failed: tuple[FailedTest, ...] = ()
    """Failed tests; those that wait are in `waiting`."""
    waiting: tuple[FailedTest, ...] = ()


def check_policy(
    text: str, directory: Directory | None, *, name: str = "policy", may_wait: bool = False
) -> Checked:
    """Load a text and run its tests against a directory, if there is one.

    With `may_wait`, tests that fail only because names stand for no device are let wait.
    """
    loaded = load(Source(name, text))
    errors = [d for d in loaded.diagnostics if d.severity is Severity.ERROR]
    warnings = tuple(spelled(d) for d in loaded.diagnostics if d.severity is Severity.WARNING)
    if loaded.policy is None:
        return Checked(None, tuple(map(spelled, errors)), warnings, errors[0].message)
    found = [] if directory is None else failed_tests(loaded.policy, directory)
    waiting = tuple(test for test in found if may_wait and test.may_wait)
    failed = tuple(test for test in found if test not in waiting)
    if failed:
        problems = (*(error for test in failed for error in test.errors), *_advice(found))
        return Checked(None, problems, warnings, TESTS_FAILED, failed, waiting)
    return Checked(loaded.policy, (), warnings, waiting=waiting)


def with_other_tests(text: str, tests: str) -> str:
    """Return a policy text that loads with other tests, a JSON array, in place of its own."""
    root = parse(Source("policy", text))[1]
    if root is None:
        raise AssertionError("a policy that loaded has a value")
    document = json.loads(standardize(root))
    kept = {k: v for k, v in document.items() if k.lower() not in {"tests", "sshtests"}}
    return json.dumps({**kept, "tests": json.loads(tests)})


def failed_tests(policy: Policy, directory: Directory) -> list[FailedTest]:
    """Return those of a policy's own tests that fail on a tailnet."""
    report = run_tests(policy, directory, policy.tests, policy.ssh_tests)
    failed = [result for result in report.results if result.outcome is Outcome.FAILED]
    contradicted = _contradicted(policy, failed)
    return [
        FailedTest(
            source=", ".join(term.text for term in result.case.src),
            errors=tuple(
                f"{spelled(d)}{_who(result.missing, directory)}"
                for d in result.diagnostics
                if d.severity is Severity.ERROR
            ),
            missing=result.missing,
            may_wait=bool(result.missing) and not contradicted[number],
        )
        for number, result in enumerate(failed)
    ]


def _contradicted(policy: Policy, failed: list[CaseResult]) -> list[bool]:
    """Tell of each test whether it fails on every tailnet, as far as the policy alone says."""
    tests = [each.case for each in failed if each.kind == "test"]
    ssh_tests = [each.case for each in failed if each.kind != "test"]
    if not any(each.missing for each in failed):
        return [True] * len(failed)
    # Network tests come first in both reports.
    report = run_tests(policy, None, tests, ssh_tests)  # type: ignore[arg-type]  # told apart by kind
    return [result.outcome is Outcome.FAILED for result in report.results]


def _who(missing: Iterable[str], directory: Directory) -> str:
    """Say of names that are users whether they have an account at all."""
    known = [
        f"there is no user {name}" if name not in directory.by_login else f"{name} has no device"
        for name in missing
        if "@" in name and ":" not in name
    ]
    return f" ({'; '.join(known)})" if known else ""


def _advice(failed: Iterable[FailedTest]) -> list[str]:
    names = dict.fromkeys(name for test in failed if test.may_wait for name in test.missing)
    if not names:
        return []
    advice = (
        f"tests fail because no device is {', '.join(names)}: let such devices join first, or set "
        "the policy with --pending-tests, which lets those tests, and no others, wait for them"
    )
    return [advice]


def spelled(diagnostic: Diagnostic) -> str:
    """Return a finding on one line, with its place and what to do."""
    place = diagnostic.position
    text = (
        f"{diagnostic.source.name}:{place.line}:{place.column}: "
        f"{diagnostic.code} {diagnostic.message}"
    )
    return f"{text}: {diagnostic.help}" if diagnostic.help else text
