"""The Test Anything Protocol, version 14. The text of each file is a test, and so is each case."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from policy.diagnostics.diagnostic import Severity
from policy.report.as_json import clean
from policy.report.model import Outcome
from policy.report.text import one_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from policy.diagnostics.diagnostic import Diagnostic
    from policy.report.model import Case, FileReport, Report

__all__ = ["render_tap"]


def render_tap(report: Report) -> str:
    """Return one test point for each file and each case, with what is wrong in YAML."""
    total = sum(1 + len(file.cases) for file in report.files)
    lines = ["TAP version 14", f"1..{total}"]
    number = 0
    for file in report.files:
        number += 1
        lines.extend(_file(file, number))
        for case in file.cases:
            number += 1
            lines.extend(_case(case, number))
    return "\n".join(lines) + "\n"


def _file(file: FileReport, number: int) -> Iterator[str]:
    errors = [f for f in file.diagnostics if f.severity is Severity.ERROR]
    yield f"{'not ' if errors else ''}ok {number} - {_title(file.source.name)} is valid"
    yield from _details(errors)


def _case(case: Case, number: int) -> Iterator[str]:
    title = f"{_title(case.source.name)}: {_title(case.title)}"
    match case.outcome:
        case Outcome.PASSED:
            yield f"ok {number} - {title}"
        case Outcome.UNDECIDED:
            yield f"ok {number} - {title} # SKIP {one_line(case.reason)}"
        case Outcome.FAILED:
            yield f"not ok {number} - {title}"
            yield from _details(case.diagnostics)


def _details(findings: Sequence[Diagnostic]) -> Iterator[str]:
    if not findings:
        return
    yield "  ---"
    yield "  findings:"
    for found in findings:
        line, column, *_ = found.position
        yield f"    - code: {found.code}"
        yield f"      severity: {found.severity.value}"
        yield f"      message: {_yaml(found.message)}"
        yield f"      at: {_yaml(f'{found.source.name}:{line}:{column}')}"
        if found.help:
            yield f"      help: {_yaml(found.help)}"
    yield "  ..."


def _yaml(text: str) -> str:
    """Quote for YAML: every JSON string is a YAML string."""
    return json.dumps(clean(text))


def _title(text: str) -> str:
    return one_line(text).replace("\\", "\\\\").replace("#", "\\#")
