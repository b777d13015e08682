"""JUnit XML, for the test panels of CI services.

One suite for each file: what the text must satisfy is its first case, and fails with the first
error found; each policy test is a case of its own. An undecided one is skipped.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from policy.diagnostics.diagnostic import Severity
from policy.report.concise import concise_line
from policy.report.full import explain_finding
from policy.report.model import Outcome
from policy.report.style import PLAIN

if TYPE_CHECKING:
    from collections.abc import Iterator

    from policy.diagnostics.diagnostic import Diagnostic
    from policy.report.model import Case, FileReport, Report

__all__ = ["render_junit"]

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_ESCAPES = {
    ord("&"): "&amp;",
    ord("<"): "&lt;",
    ord(">"): "&gt;",
    ord('"'): "&quot;",
    ord("\n"): "&#10;",
    ord("\t"): "&#9;",
    ord("\r"): "&#13;",
}


def render_junit(report: Report) -> str:
    """Return the report as a document with `testsuites` at its root."""
    suites = [_Suite(file) for file in report.files]
    head = _attributes(
        name=f"policy {report.command}",
        tests=sum(suite.tests for suite in suites),
        failures=sum(suite.failures for suite in suites),
        errors=0,
    )
    lines = ['<?xml version="1.0" encoding="UTF-8"?>', f"<testsuites{head}>"]
    for suite in suites:
        lines.extend(suite.lines())
    lines.append("</testsuites>")
    return "\n".join(lines) + "\n"


class _Suite:
    """One file as a test suite."""

    def __init__(self, file: FileReport) -> None:
        self.file = file
        self.errors = [f for f in file.diagnostics if f.severity is Severity.ERROR]
        self.tests = 1 + len(file.cases)
        self.failures = file.count(Outcome.FAILED) + bool(self.errors)

    def lines(self) -> Iterator[str]:
        file = self.file
        yield (
            "  <testsuite"
            + _attributes(
                name=file.source.name,
                tests=self.tests,
                failures=self.failures,
                errors=0,
                skipped=file.count(Outcome.UNDECIDED),
            )
            + ">"
        )
        yield from self._text_case()
        for case in file.cases:
            yield from _test_case(case)
        others = [f for f in file.diagnostics if f.severity is not Severity.ERROR]
        if others:
            told = "\n".join(concise_line(found, PLAIN) for found in others)
            yield f"    <system-out>{_text(told)}</system-out>"
        yield "  </testsuite>"

    def _text_case(self) -> Iterator[str]:
        head = "    <testcase" + _attributes(
            name="policy is valid", classname=self.file.source.name
        )
        if not self.errors:
            yield head + "/>"
            return
        yield head + ">"
        yield _failure(self.errors[0].message, self.errors[0].code, self.errors)
        yield "    </testcase>"


def _test_case(case: Case) -> Iterator[str]:
    head = "    <testcase" + _attributes(name=case.title, classname=case.source.name)
    match case.outcome:
        case Outcome.PASSED:
            yield head + "/>"
        case Outcome.UNDECIDED:
            yield f"{head}><skipped{_attributes(message=case.reason)}/></testcase>"
        case Outcome.FAILED:
            yield head + ">"
            code = case.diagnostics[0].code if case.diagnostics else "POL501"
            yield _failure(case.reason, code, case.diagnostics)
            yield "    </testcase>"


def _failure(message: str, code: str, findings: list[Diagnostic] | tuple[Diagnostic, ...]) -> str:
    told = "\n\n".join("\n".join(explain_finding(found)) for found in findings)
    return f"      <failure{_attributes(type=code, message=message)}>{_text(told)}</failure>"


def _attributes(**values: object) -> str:
    return "".join(f' {name}="{_attribute(str(value))}"' for name, value in values.items())


def _attribute(text: str) -> str:
    return _NOT_XML.sub("\ufffd", text).translate(_ESCAPES)


def _text(text: str) -> str:
    shown = _NOT_XML.sub("\ufffd", text)
    return shown.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
