"""The findings as one JSON object. Its keys are a contract: they are added to, never changed.

`column` and `endColumn` count characters from 1, the end not included.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from policy.report.model import Outcome

if TYPE_CHECKING:
    from policy.diagnostics.diagnostic import Diagnostic
    from policy.report.model import Case, FileReport, Report
    from policy.source import Source, Span

__all__ = ["clean", "dump", "finding_to_json", "place_to_json", "render_json"]

_SURROGATES = re.compile("[\ud800-\udfff]")


def render_json(report: Report) -> str:
    """Return the report as JSON, indented."""
    return dump(
        {
            "diagnostics": [finding_to_json(found) for found in report.findings],
            "tests": _counts(report),
            "cases": [_case(case) for case in report.cases],
            "files": [_file(file) for file in report.files],
            "trusted": _trusted(report),
        }
    )


def dump(value: Any) -> str:
    """Return JSON that any parser takes, in ASCII, with a line feed at its end."""
    return json.dumps(value, indent=2) + "\n"


def clean(text: str) -> str:
    """Put U+FFFD for bytes that were not UTF-8: most readers of JSON refuse half characters."""
    return _SURROGATES.sub("\ufffd", text)


def finding_to_json(found: Diagnostic) -> dict[str, Any]:
    """Return one finding."""
    shown: dict[str, Any] = {
        "code": found.code,
        "name": found.name,
        "severity": found.severity.value,
        "message": clean(found.message),
        **place_to_json(found.source, found.span),
    }
    if found.help:
        shown["help"] = clean(found.help)
    if found.related:
        shown["related"] = [
            {"message": clean(related.message), **place_to_json(found.source, related.span)}
            for related in found.related
        ]
    if found.fix:
        shown["fix"] = {
            "title": found.fix.title,
            "text": clean(found.fix.text),
            **place_to_json(found.source, found.fix.span),
        }
    return shown


def place_to_json(source: Source, span: Span) -> dict[str, Any]:
    """Return where something is written."""
    start, end = source.position(span.start), source.position(span.end)
    return {
        "file": clean(source.name),
        "line": start.line,
        "column": start.column,
        "endLine": end.line,
        "endColumn": end.column,
    }


def _case(case: Case) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "title": clean(case.title),
        "kind": case.kind,
        "outcome": case.outcome.value,
        **place_to_json(case.source, case.span),
    }
    if case.outcome is not Outcome.PASSED:
        shown["reason"] = clean(case.reason)
    return shown


def _file(file: FileReport) -> dict[str, Any]:
    return {
        "file": clean(file.source.name),
        "valid": file.is_valid,
        "tests": _counts(file),
        "omitted": file.omitted,
        "trusted": None if file.trust is None else file.trust._asdict(),
    }


def _counts(report: Report | FileReport) -> dict[str, int]:
    return {outcome.value: report.count(outcome) for outcome in Outcome}


def _trusted(report: Report) -> dict[str, int] | None:
    """Return the sums over all files; None where nothing was taken on trust, not even nothing."""
    trusts = [file.trust for file in report.files if file.trust is not None]
    if not trusts:
        return None
    return {
        field: sum(getattr(trust, field) for trust in trusts) for field in type(trusts[0])._fields
    }
