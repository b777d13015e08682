"""One network test case: its assertions asked, answered and put into words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.testing.findings import Findings
from engine.testing.oracle import Question
from engine.testing.questions import (
    MalformedCaseError,
    read_protocols,
    read_source,
    read_target,
)

if TYPE_CHECKING:
    from engine.testing.carriers import Carriers
    from engine.testing.oracle import Oracle, Reach
    from engine.testing.report import CaseResult
    from policy.model.cases import TestCase
    from policy.model.document import Policy
    from policy.model.selectors import Selector
    from policy.model.term import Term

__all__ = ["CaseJudge"]


class CaseJudge:
    """Judges the network cases of one policy."""

    def __init__(self, policy: Policy, oracle: Oracle, carriers: Carriers | None) -> None:
        """Judge by an oracle; `carriers` answers for single devices where an inventory is known."""
        self._policy = policy
        self._oracle = oracle
        self._carriers = carriers

    def judge(self, case: TestCase) -> CaseResult:
        """Evaluate a case."""
        findings = Findings(self._policy, case, "test", ("POL501", "POL502"))
        try:
            protocols = read_protocols(case.protocol)
        except MalformedCaseError as error:
            findings.malformed(str(error), case.span)
            return findings.result()
        sources = self._sources(case, findings)
        if not (case.accept or case.deny or case.capabilities or case.no_capabilities):
            findings.malformed("nothing is asserted: neither accept nor deny", case.span)
        for source, selector in sources:
            for wanted, terms in ((True, case.accept), (False, case.deny)):
                for term in terms:
                    self._assert_reach(case, findings, (source, selector), term, protocols, wanted)
            self._assert_capabilities(case, findings, selector)
        return findings.result()

    def _sources(self, case: TestCase, findings: Findings) -> list[tuple[Term, Selector]]:
        if not case.src:
            findings.malformed("src is missing", case.span)
        sources = []
        for term in case.src:
            try:
                sources.append((term, read_source(term, self._policy)))
            except MalformedCaseError as error:
                findings.malformed(f'src "{term.text}": {error}', term.span)
        return sources

    def _assert_reach(
        self,
        case: TestCase,
        findings: Findings,
        source: tuple[Term, Selector],
        term: Term,
        protocols: tuple[int, ...],
        wanted: bool,  # noqa: FBT001  the two lists of a case differ in nothing else
    ) -> None:
        try:
            target = read_target(term, self._policy, protocols, suite=case.suite)
        except MalformedCaseError as error:
            findings.malformed(f'dst "{term.text}": {error}', term.span)
            return
        question = Question(source[1], target, protocols, case.posture_attributes, case.suite)
        if case.via:
            reach = self._reach_via(case, question, findings)
        else:
            reach = self._oracle.reach(question)
        if reach is None:
            findings.undecided("which device carries the traffic depends on an inventory", term)
            return
        findings.assertion(
            f"{source[0].text} to {term.text} ({_spell(case)})",
            term,
            wanted=wanted,
            held=_held(reach, wanted, suite=case.suite),
            reach=reach,
        )

    def _reach_via(self, case: TestCase, question: Question, findings: Findings) -> Reach | None:
        if self._carriers is None:
            return None
        tags = []
        for term in case.via:
            try:
                tags.append(read_source(term, self._policy))
            except MalformedCaseError as error:
                findings.malformed(f'via "{term.text}": {error}', term.span)
        return self._carriers.reach(question, tags)

    def _assert_capabilities(self, case: TestCase, findings: Findings, source: Selector) -> None:
        for wanted, terms in ((True, case.capabilities), (False, case.no_capabilities)):
            for term in terms:
                for place in case.on:
                    if self._carriers is None:
                        findings.undecided("who holds a capability depends on an inventory", term)
                        continue
                    try:
                        target = read_source(place, self._policy)
                    except MalformedCaseError as error:
                        findings.malformed(f'on "{place.text}": {error}', place.span)
                        continue
                    reach = self._carriers.holds(source, target, term.text)
                    findings.assertion(
                        f"{source} holds {term.text} on {place.text}",
                        term,
                        wanted=wanted,
                        held=_held(reach, wanted, suite=True),
                        reach=reach,
                    )
        if (case.capabilities or case.no_capabilities) and not case.on:
            findings.malformed("capabilities are held on something: add `on`", case.span)


def _held(reach: Reach, wanted: bool, *, suite: bool) -> bool | None:  # noqa: FBT001  as above
    """Tell whether an assertion holds; a source or destination of nobody fails it either way."""
    if reach.missing is not None:
        return False
    answer = reach.fully if suite and wanted else reach.at_all if suite else reach.from_every
    return None if answer is None else answer is wanted


def _spell(case: TestCase) -> str:
    return case.protocol.lower() if case.protocol else "tcp or udp"
