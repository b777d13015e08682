"""One policy looked at from every side: its text, its meaning, its tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from policy.cli.advice import advice
from policy.cli.unknown_users import unknown_users
from policy.load import load
from policy.report.model import Case, FileReport, Outcome
from policy.report.trust import trusted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.directory import Directory
    from policy.diagnostics.diagnostic import Diagnostic
    from policy.model.cases import SshTestCase, TestCase
    from policy.model.document import Policy
    from policy.source import Source
    from policy.suite import LoadedSuite

__all__ = ["SUITE_SUFFIX", "examine", "examine_suite", "run_cases"]

SUITE_SUFFIX = ".test.hujson"
"""How the name of a test suite ends."""

_MOST = 1000
"""How many findings of one file are told. Nobody reads more, and each takes time to place."""


def examine(
    source: Source, directory: Directory | None, suites: Sequence[LoadedSuite] = ()
) -> FileReport:
    """Load a policy, run its own tests and those of `suites`, and report on all of it.

    Tests of a policy that is not valid are not run.
    """
    loaded = load(source, domains=None if directory is None else directory.domains)
    diagnostics = [*loaded.diagnostics, *(found for s in suites for found in s.diagnostics)]
    policy = loaded.policy
    if policy is None:
        return _bounded(source, diagnostics)
    diagnostics.extend(advice(policy, loaded.root))
    tests = [*policy.tests, *(case for suite in suites for case in suite.tests)]
    ssh_tests = [*policy.ssh_tests, *(case for suite in suites for case in suite.ssh_tests)]
    cases = run_cases(policy, directory, tests, ssh_tests)
    trust = None
    if directory is None:
        trust = trusted(policy, sum(case.outcome is Outcome.UNDECIDED for case in cases))
    else:
        diagnostics.extend(unknown_users(policy, loaded.root, directory.by_login))
    return _bounded(source, diagnostics)._replace(cases=cases, trust=trust)


def examine_suite(source: Source) -> FileReport:
    """Check the text of a suite by itself; its tests need a policy to be run against."""
    from policy.suite import load_suite  # noqa: PLC0415  most runs have no suite

    return _bounded(source, load_suite(source).diagnostics)


def run_cases(
    policy: Policy,
    directory: Directory | None,
    tests: Sequence[TestCase],
    ssh_tests: Sequence[SshTestCase],
) -> tuple[Case, ...]:
    """Run tests; without any, the engine is not even imported."""
    if not tests and not ssh_tests:
        return ()
    from engine.testing.run import run_tests  # noqa: PLC0415

    return tuple(
        Case(
            source=result.case.source,
            span=result.case.span,
            kind=result.kind,
            title=result.title,
            outcome=Outcome(result.outcome.value),
            diagnostics=result.diagnostics,
        )
        for result in run_tests(policy, directory, tests, ssh_tests).results
    )


def _bounded(source: Source, diagnostics: Sequence[Diagnostic]) -> FileReport:
    omitted = max(0, len(diagnostics) - _MOST)
    return FileReport(source, tuple(diagnostics[:_MOST]), omitted=omitted)
