"""One SSH test case: its accounts asked, answered and put into words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.testing.findings import Findings
from engine.testing.imagined import is_certain
from engine.testing.questions import MalformedCaseError
from engine.testing.ssh import Login, NobodyError, read_party

if TYPE_CHECKING:
    from engine.testing.report import CaseResult
    from engine.testing.ssh import SshOracle
    from policy.model.cases import SshTestCase
    from policy.model.document import Policy
    from policy.model.selectors import Selector
    from policy.model.term import Term

__all__ = ["SshJudge"]

_WHY_UNDECIDED = "roles, addresses, postures and groups elsewhere are known to an inventory only"


class SshJudge:
    """Judges the SSH cases of one policy."""

    def __init__(self, policy: Policy, oracle: SshOracle, *, imagined: bool) -> None:
        self._policy = policy
        self._oracle = oracle
        self._imagined = imagined

    def judge(self, case: SshTestCase) -> CaseResult:
        """Evaluate a case."""
        findings = Findings(self._policy, case, "sshTest", ("POL503", "POL504"))
        sources = self._parties(case.src, "src", case, findings)
        targets = self._parties(case.dst, "dst", case, findings)
        wanted = (
            (Login.ACCEPT, case.accept),
            (Login.CHECK, case.check),
            (Login.DENY, case.deny),
        )
        if not any(terms for _, terms in wanted):
            findings.malformed("nothing is asserted: no accept, check or deny", case.span)
        certain = not self._imagined or is_certain(self._policy, case)
        for login, terms in wanted:
            for term in terms:
                if not certain:
                    findings.undecided(_WHY_UNDECIDED, term)
                    continue
                if not term.text:
                    findings.malformed("an empty account name", term.span)
                    continue
                for source in sources:
                    for target in targets:
                        self._assert(findings, source, target, term, login)
        return findings.result()

    def _parties(
        self, terms: tuple[Term, ...], field: str, case: SshTestCase, findings: Findings
    ) -> list[Selector]:
        if not terms:
            findings.malformed(f"{field} is missing", case.span)
        parties = []
        for term in terms:
            try:
                parties.append(read_party(term, self._policy))
            except MalformedCaseError as error:
                findings.malformed(f'{field} "{term.text}": {error}', term.span)
        return parties

    def _assert(
        self, findings: Findings, src: Selector, dst: Selector, account: Term, wanted: Login
    ) -> None:
        try:
            answers = self._oracle.logins(src, dst, account.text)
        except NobodyError as error:
            findings.lacking(str(error), error.name, account)
            return
        if answers == {wanted}:
            return
        if self._imagined and wanted in answers:
            # Nobody says that each member of a group has a device.
            findings.undecided(
                f"which devices {src} and {dst} have depends on an inventory", account
            )
            return
        got = " or ".join(sorted(answer.value for answer in answers))
        findings.failed(
            f"{src} to {dst} as {account.text}: want {wanted.value}, got {got}", account
        )
