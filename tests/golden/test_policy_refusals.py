"""Policies that the service refuses, each with the code, the place and the service's own words.

A case is the policy itself; comments in front of it say what to expect:

    // code: POL301
    // at: 9:43                     line and column, in characters
    // message: src=tag not found: "tag:api"
    // domains: corp.example        the tailnet's mail domains, where they matter
    // inventory: small             evaluates the policy's tests on that tailnet
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

import pytest

from engine.testing.run import run_tests
from policy.diagnostics.diagnostic import Severity
from policy.load import load
from policy.source import Source
from tests.support.policy_golden import REWRITE, cases, inventory

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from policy.diagnostics.diagnostic import Diagnostic

REFUSED = cases("refused")
ACCEPTED = cases("accepted")


class Verdict(NamedTuple):
    """The first error."""

    code: str
    at: str
    message: str


def header(text: str, name: str) -> str | None:
    """Return what a comment of the case says under a name."""
    found = re.search(rf"^// {name}: (.*)$", text, re.MULTILINE)
    return found and found[1]


def findings(text: str) -> Iterable[Diagnostic]:
    """Return what is wrong with a case, in the service's order."""
    domains = header(text, "domains")
    loaded = load(
        Source("case.hujson", text), domains=None if domains is None else frozenset(domains.split())
    )
    tailnet = header(text, "inventory")
    if loaded.policy is None or tailnet is None:
        return loaded.diagnostics
    policy = loaded.policy
    report = run_tests(policy, inventory(tailnet), policy.tests, policy.ssh_tests)
    return (*loaded.diagnostics, *report.diagnostics)


def first_error(text: str) -> Verdict | None:
    for found in findings(text):
        if found.severity is Severity.ERROR:
            place = found.position
            return Verdict(found.code, f"{place.line}:{place.column}", found.message)
    return None


def rewrite(path: Path, text: str, verdict: Verdict) -> None:
    """Put the present verdict into the case's comments."""
    for name, value in verdict._asdict().items():
        line = f"// {name}: {value}"
        at = re.compile(rf"^// {name}: .*$", re.MULTILINE)
        text = at.sub(line.replace("\\", "\\\\"), text, count=1)
    path.write_bytes(text.encode())


@pytest.mark.parametrize(
    "name",
    REFUSED,
)
def test_refusal_has_the_words_and_the_place_of_the_service(name: str) -> None:
    text = REFUSED[name].read_bytes().decode()
    verdict = first_error(text)
    assert verdict is not None
    if REWRITE:
        rewrite(REFUSED[name], text, verdict)
        return
    expected = [header(text, field) for field in Verdict._fields]
    assert list(verdict) == expected


@pytest.mark.parametrize("name", ACCEPTED)
def test_what_looks_wrong_and_is_not_is_accepted(name: str) -> None:
    text = ACCEPTED[name].read_bytes().decode()
    assert [found.message for found in findings(text)] == []
