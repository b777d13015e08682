"""What every format renders: the findings of one run, file by file."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

from policy.diagnostics.diagnostic import Severity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from policy.diagnostics.diagnostic import Diagnostic
    from policy.report.trust import Trust
    from policy.source import Source, Span

__all__ = ["Case", "FileReport", "Outcome", "Report"]


class Outcome(Enum):
    """What became of one policy test."""

    PASSED = "passed"
    FAILED = "failed"
    UNDECIDED = "undecided"
    """The answer depends on an inventory, and there is none."""


class Case(NamedTuple):
    """One policy test that was run."""

    source: Source
    span: Span
    kind: str
    """`test` or `sshTest`."""
    title: str
    outcome: Outcome
    diagnostics: tuple[Diagnostic, ...]
    """Why it did not pass; empty where it did."""

    @property
    def reason(self) -> str:
        """Why it did not pass, as text of one or more lines."""
        told = (found.help or found.message for found in self.diagnostics)
        return "\n".join(told) or self.outcome.value


class FileReport(NamedTuple):
    """What is to be said of one policy, or of a suite that was checked by itself."""

    source: Source
    diagnostics: tuple[Diagnostic, ...]
    """Findings about the text and about its suites, in the order in which the service checks."""
    cases: tuple[Case, ...] = ()
    trust: Trust | None = None
    """What was not checked for want of an inventory; None where there is one."""
    omitted: int = 0
    """How many findings there are beyond those listed: a file can be wrong in every line."""

    @property
    def findings(self) -> Iterator[Diagnostic]:
        """Everything found, cases included."""
        yield from self.diagnostics
        for case in self.cases:
            yield from case.diagnostics

    @property
    def is_valid(self) -> bool:
        """Whether the service would take the policy, as far as this run can tell."""
        return all(found.severity is not Severity.ERROR for found in self.findings)

    def count(self, outcome: Outcome) -> int:
        """Count the cases with this outcome."""
        return sum(case.outcome is outcome for case in self.cases)


class Report(NamedTuple):
    """What is to be said of one run of `policy check` or `policy test`."""

    command: str
    files: tuple[FileReport, ...]
    verbose: bool = False
    """Whether cases that passed are listed too."""

    @property
    def findings(self) -> Iterator[Diagnostic]:
        """Everything found, file by file."""
        for file in self.files:
            yield from file.findings

    @property
    def cases(self) -> Iterator[Case]:
        """Every test that was run, file by file."""
        for file in self.files:
            yield from file.cases

    def count(self, outcome: Outcome) -> int:
        """Count the cases with this outcome."""
        return sum(file.count(outcome) for file in self.files)

    def found(self, severity: Severity) -> int:
        """Count the findings of one severity."""
        return sum(diagnostic.severity is severity for diagnostic in self.findings)
