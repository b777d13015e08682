"""Gathers what one case has to report, in the service's words and in ours."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.compile.origins import origin_of
from engine.testing.report import CaseResult, Outcome
from policy.diagnostics.diagnostic import Diagnostic, Related, Severity
from policy.diagnostics.registry import RULES

if TYPE_CHECKING:
    from engine.rules import Origin
    from engine.testing.oracle import Reach
    from policy.model.cases import SshTestCase, TestCase
    from policy.model.document import Policy
    from policy.model.term import Term
    from policy.source import Span

__all__ = ["Findings"]

_FAILED = "test(s) failed"
"""All that the service says of any test that fails or makes no sense."""
_SHOWN_RULES = 3


class Findings:
    """The findings of one case."""

    def __init__(
        self,
        policy: Policy,
        case: TestCase | SshTestCase,
        kind: str,
        codes: tuple[str, str],
    ) -> None:
        self._policy = policy
        self._case = case
        self._kind = kind
        self._failed, self._malformed = codes
        self._found: list[Diagnostic] = []
        self._outcome = Outcome.PASSED
        self._missing: dict[str, None] = {}
        self._fails_otherwise = False

    def result(self) -> CaseResult:
        """Return what became of the case."""
        sources = ", ".join(term.text for term in self._case.src) or "no source"
        section = "tests" if self._kind == "test" else "sshTests"
        title = self._case.name or f"{section}[{self._case.position}] {sources}"
        missing = () if self._fails_otherwise else tuple(self._missing)
        return CaseResult(self._case, self._kind, title, self._outcome, tuple(self._found), missing)

    def malformed(self, why: str, span: Span) -> None:
        """Report an entry that cannot be evaluated: the case fails."""
        self._outcome = Outcome.FAILED
        self._fails_otherwise = True
        self._add(self._malformed, _FAILED, span, why)

    def undecided(self, why: str, term: Term) -> None:
        """Report an assertion whose answer needs an inventory."""
        if self._outcome is Outcome.PASSED:
            self._outcome = Outcome.UNDECIDED
        message = f"undecided without an inventory: {term.text}"
        self._add("POL505", message, term.span, f"{why}; give one with --inventory")

    def failed(self, what: str, term: Term, related: tuple[Related, ...] = ()) -> None:
        """Report an assertion that does not hold."""
        self._fails_otherwise = True
        self._fail(what, term, related)

    def lacking(self, what: str, name: str, term: Term) -> None:
        """Report an assertion about a name that no device has: it fails until one has."""
        self._missing[name] = None
        self._fail(what, term)

    def _fail(self, what: str, term: Term, related: tuple[Related, ...] = ()) -> None:
        self._outcome = Outcome.FAILED
        self._add(self._failed, _FAILED, term.span, what, related)

    def assertion(
        self, what: str, term: Term, *, wanted: bool, held: bool | None, reach: Reach
    ) -> None:
        """Report one network assertion, unless it holds."""
        if held:
            return
        if held is None:
            self.undecided(self._why_undecided(what, reach), term)
            return
        if reach.missing is not None:
            text = f"{what}: {reach.missing}"
            if reach.lacks:
                self.lacking(text, reach.lacks, term)
            else:
                self.failed(text, term)
            return
        want, got = ("accept", "deny") if wanted else ("deny", "accept")
        text = f"{what}: want {want}, got {got}"
        if wanted and reach.at_all:
            text += f" for {reach.witness}" if reach.witness else " for a part of it"
        if wanted and not reach.allowing:
            text += "; no rule allows it"
        if reach.allowing:
            text += f"; allowed by {self._spell(reach.allowing)}"
        self.failed(text, term, self._related(reach.allowing))

    def _why_undecided(self, what: str, reach: Reach) -> str:
        rules = f" ({self._spell(reach.allowing)})" if reach.allowing else ""
        return f"{what} depends on which devices there are{rules}"

    def _spell(self, origins: tuple[Origin, ...]) -> str:
        name = self._policy.source.name
        shown = [
            f"{origin.section}[{origin.position}] ({name}:{origin.line})"
            if origin.line
            else "the default of allowing everything"
            for origin in origins[:_SHOWN_RULES]
        ]
        more = len(origins) - _SHOWN_RULES
        return ", ".join(shown) + (f" and {more} more" if more > 0 else "")

    def _related(self, origins: tuple[Origin, ...]) -> tuple[Related, ...]:
        if self._case.source is not self._policy.source:
            return ()  # a place in another file; the text names it
        spans = {
            (origin.section, origin.position): rule.span
            for rule in self._policy.network_rules
            for origin in [origin_of(rule)]
        }
        return tuple(
            Related("allowed here", spans[origin.section, origin.position])
            for origin in origins[:_SHOWN_RULES]
            if (origin.section, origin.position) in spans
        )

    def _add(
        self,
        code: str,
        message: str,
        span: Span,
        help_text: str,
        related: tuple[Related, ...] = (),
    ) -> None:
        severity = Severity(RULES[code].severity)
        self._found.append(
            Diagnostic(code, severity, message, self._case.source, span, help_text, related)
        )
