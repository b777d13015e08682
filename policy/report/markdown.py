"""Markdown, for comments on a change and for the summary of a CI job."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from policy.diagnostics.diagnostic import Severity
from policy.report.model import Outcome
from policy.report.summary import count_findings, count_tests, say_trust
from policy.report.text import counted, one_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from policy.diagnostics.diagnostic import Diagnostic
    from policy.report.model import Case, FileReport, Report

__all__ = ["render_markdown"]

_LABELS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "note"}


def render_markdown(report: Report) -> str:
    """Return a heading for each file, with tables of findings and of tests that did not pass."""
    lines = [f"### `policy {report.command}`", ""]
    for file in report.files:
        lines.extend(_file(file))
    return "\n".join(lines).rstrip("\n") + "\n"


def _file(file: FileReport) -> Iterator[str]:
    verdict = "valid" if file.is_valid else "**not valid**"
    parts = (verdict, count_findings(file), count_tests(file))
    yield f"{_code(file.source.name)}: {'; '.join(part for part in parts if part)}"
    yield ""
    if file.diagnostics:
        yield "| place | code | finding |"
        yield "| --- | --- | --- |"
        yield from (_finding(found) for found in file.diagnostics)
        yield ""
    if file.omitted:
        yield f"{counted(file.omitted, 'more finding')} not listed."
        yield ""
    failing = [case for case in file.cases if case.outcome is not Outcome.PASSED]
    if failing:
        yield "| place | test | outcome |"
        yield "| --- | --- | --- |"
        yield from (_case(case) for case in failing)
        yield ""
    if file.trust is not None and file.trust.total:
        yield f"Taken on trust without an inventory: {say_trust(file.trust)}."
        yield ""


def _finding(found: Diagnostic) -> str:
    line, column, *_ = found.position
    told = _code(found.message)
    if found.help:
        told += f"<br>{_prose(found.help)}"
    label = f"{_LABELS[found.severity]} {found.code}"
    return f"| {_code(f'{found.source.name}:{line}:{column}')} | {label} | {told} |"


def _case(case: Case) -> str:
    line, column, *_ = case.source.position(case.span.start)
    place = _code(f"{case.source.name}:{line}:{column}")
    reason = "<br>".join(_prose(part) for part in case.reason.split("\n"))
    return f"| {place} | {_code(case.title)} | {case.outcome.value}: {reason} |"


def _code(text: str) -> str:
    """Return text as a code span that survives a table, whatever backticks it holds."""
    shown = one_line(text).replace("|", "\\|")
    longest = max((len(run) for run in re.findall("`+", shown)), default=0)
    fence = "`" * (longest + 1)
    pad = " " if longest or not shown.strip() else ""
    return f"{fence}{pad}{shown}{pad}{fence}"


def _prose(text: str) -> str:
    """Return text in which only our own code spans are markup."""
    parts = re.split("(`[^`]*`)", one_line(text))
    return "".join(
        _code(part[1:-1]) if index % 2 else _escape(part) for index, part in enumerate(parts)
    )


def _escape(text: str) -> str:
    return re.sub(r"([\\`*_{}\[\]<>#|~@!])", r"\\\1", text)
