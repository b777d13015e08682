"""The closing words of the formats for people: what holds, what does not, what nobody checked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from policy.diagnostics.diagnostic import Severity
from policy.report.model import Outcome
from policy.report.text import counted, one_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from policy.report.model import FileReport, Report
    from policy.report.style import Style
    from policy.report.trust import Trust

__all__ = ["count_findings", "count_tests", "say_trust", "summarise"]


def summarise(report: Report, style: Style) -> Iterator[str]:
    """Yield one line for each file, what was taken on trust, and a total of several files."""
    for file in report.files:
        verdict = _verdict(file, style)
        yield f"{style.bold(one_line(file.source.name))}: {'; '.join(verdict)}"
        if file.trust is not None and file.trust.total:
            yield f"  taken on trust without an inventory: {say_trust(file.trust)}"
    if len(report.files) > 1:
        parts = [counted(len(report.files), "file"), count_findings(report), count_tests(report)]
        yield "; ".join(part for part in parts if part)


def _verdict(file: FileReport, style: Style) -> Iterator[str]:
    findings = count_findings(file)
    if file.is_valid:
        yield style.good("valid")
    if findings:
        yield findings
    if file.omitted:
        yield f"{counted(file.omitted, 'more finding')} not listed"
    if tests := count_tests(file):
        yield tests


def count_findings(report: Report | FileReport) -> str:
    """Count errors and warnings, as in `2 errors, 1 warning`; empty where there are none."""
    counts = dict.fromkeys(Severity, 0)
    for found in report.findings:
        counts[found.severity] += 1
    told = ((Severity.ERROR, "error"), (Severity.WARNING, "warning"))
    return ", ".join(counted(counts[kind], noun) for kind, noun in told if counts[kind])


def count_tests(report: Report | FileReport) -> str:
    """Count tests by outcome, as in `3 tests passed, 1 failed`; empty where there are none."""
    counts = {outcome: report.count(outcome) for outcome in Outcome}
    told = [f"{number} {outcome.value}" for outcome, number in counts.items() if number]
    return f"tests: {', '.join(told)}" if told else ""


def say_trust(trust: Trust) -> str:
    """Say in numbers what was taken on trust."""
    parts = (
        (trust.users, "user"),
        (trust.domains, "domain"),
        (trust.roles, "role"),
        (trust.tests, "undecided test"),
    )
    return ", ".join(counted(number, noun) for number, noun in parts if number) or "nothing"
