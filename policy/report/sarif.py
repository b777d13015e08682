"""SARIF 2.1.0, the format of code-scanning services.

Columns are counted in Unicode code points from 1, the end not included, which is what the
standard calls `unicodeCodePoints`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from policy.diagnostics.diagnostic import Severity
from policy.diagnostics.registry import RULES
from policy.report.as_json import clean, dump
from policy.report.version import product_version

if TYPE_CHECKING:
    from policy.diagnostics.diagnostic import Diagnostic
    from policy.report.model import Report
    from policy.source import Source, Span

__all__ = ["render_sarif"]

_SCHEMA = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)
_LEVELS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "note"}


def render_sarif(report: Report) -> str:
    """Return the findings as a SARIF log of one run."""
    findings = list(report.findings)
    codes = sorted({found.code for found in findings})
    driver = {
        "name": "policy",
        "organization": "Postern",
        "semanticVersion": product_version(),
        "rules": [_rule(code) for code in codes],
    }
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "invocations": [{"executionSuccessful": True}],
        "results": [_result(found, codes.index(found.code)) for found in findings],
    }
    return dump({"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]})


def _rule(code: str) -> dict[str, Any]:
    rule = RULES[code]
    return {
        "id": code,
        "name": rule.name,
        "shortDescription": {"text": rule.summary},
        "help": {"text": f"{rule.summary} `policy rule {code}` explains it with examples."},
        "defaultConfiguration": {"level": _LEVELS[Severity(rule.severity)]},
    }


def _result(found: Diagnostic, rule_index: int) -> dict[str, Any]:
    message = clean(found.message)
    result: dict[str, Any] = {
        "ruleId": found.code,
        "ruleIndex": rule_index,
        "level": _LEVELS[found.severity],
        "message": {"text": f"{message}\n{clean(found.help)}" if found.help else message},
        "locations": [{"physicalLocation": _location(found.source, found.span)}],
    }
    if found.related:
        result["relatedLocations"] = [
            {
                "id": number,
                "message": {"text": clean(related.message)},
                "physicalLocation": _location(found.source, related.span),
            }
            for number, related in enumerate(found.related)
        ]
    if found.fix:
        result["fixes"] = [
            {
                "description": {"text": found.fix.title},
                "artifactChanges": [
                    {
                        "artifactLocation": {"uri": _uri(found.source.name)},
                        "replacements": [
                            {
                                "deletedRegion": _region(found.source, found.fix.span),
                                "insertedContent": {"text": clean(found.fix.text)},
                            }
                        ],
                    }
                ],
            }
        ]
    return result


def _location(source: Source, span: Span) -> dict[str, Any]:
    return {
        "artifactLocation": {"uri": _uri(source.name)},
        "region": _region(source, span),
    }


def _region(source: Source, span: Span) -> dict[str, int]:
    start, end = source.position(span.start), source.position(span.end)
    return {
        "startLine": start.line,
        "startColumn": start.column,
        "endLine": end.line,
        "endColumn": end.column,
    }


def _uri(name: str) -> str:
    """Return a file name as a URI reference, relative where the name is."""
    path = quote(name.encode("utf-8", "surrogateescape"))
    return f"file://{path}" if name.startswith("/") else path
