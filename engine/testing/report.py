"""What became of test cases."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from policy.diagnostics.diagnostic import Diagnostic
    from policy.model.cases import SshTestCase, TestCase

__all__ = ["CaseResult", "Outcome", "TestReport"]


class Outcome(Enum):
    """How a case ended."""

    PASSED = "passed"
    FAILED = "failed"
    UNDECIDED = "undecided"
    """The answer depends on an inventory that was not given."""


class CaseResult(NamedTuple):
    """One case and its findings; none where it passed."""

    case: TestCase | SshTestCase
    kind: str
    """`test` or `sshTest`."""
    title: str
    outcome: Outcome
    diagnostics: tuple[Diagnostic, ...]
    missing: tuple[str, ...] = ()
    """Names that stand for no device, where the case failed for nothing but that."""


class TestReport(NamedTuple):
    """All cases, in the order in which they were given."""

    results: tuple[CaseResult, ...]

    @property
    def passed(self) -> int:
        """How many cases passed."""
        return self._count(Outcome.PASSED)

    @property
    def failed(self) -> int:
        """How many cases failed."""
        return self._count(Outcome.FAILED)

    @property
    def undecided(self) -> int:
        """How many cases need an inventory."""
        return self._count(Outcome.UNDECIDED)

    @property
    def diagnostics(self) -> tuple[Diagnostic, ...]:
        """Every finding, in order."""
        return tuple(found for result in self.results for found in result.diagnostics)

    def _count(self, outcome: Outcome) -> int:
        return sum(result.outcome is outcome for result in self.results)
