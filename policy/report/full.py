"""The format for people: every finding with the lines it speaks of, then what to make of it all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from policy.report.excerpt import excerpt, gutter_width
from policy.report.model import Outcome
from policy.report.style import PLAIN
from policy.report.summary import summarise
from policy.report.text import one_line, visible

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from policy.diagnostics.diagnostic import Diagnostic
    from policy.report.model import Case, FileReport, Report
    from policy.report.style import Style
    from policy.source import Source, Span

__all__ = ["explain_finding", "render_findings", "render_full"]


def render_full(report: Report, style: Style) -> str:
    """Return the report for a terminal."""
    lines: list[str] = []
    for file in report.files:
        lines.extend(_file(file, report, style))
    lines.extend(summarise(report, style))
    return "\n".join(lines) + "\n"


def render_findings(findings: Iterable[Diagnostic], style: Style) -> str:
    """Return findings alone, each with its excerpt; empty where there are none."""
    return "".join("\n".join([*explain_finding(found, style), "", ""]) for found in findings)


def explain_finding(found: Diagnostic, style: Style = PLAIN) -> list[str]:
    """Return the lines that tell of one finding: message, place, excerpt, related places, help."""
    label = f"{found.severity.value}[{found.code}]"
    lines = [style.severe(found.severity, label) + style.bold(f": {one_line(found.message)}")]
    lines.extend(_place(found.source, found.span, style))
    for related in found.related:
        lines.append(f"{style.bold('note')}: {one_line(related.message)}")
        lines.extend(_place(found.source, related.span, style, mark="-"))
    margin = " " * (gutter_width(found.source, found.span) + 1)
    if found.help:
        lines.extend(_remark("help", found.help, margin, style))
    if found.fix:
        lines.extend(_remark("fix", found.fix.title, margin, style))
    return lines


def _place(source: Source, span: Span, style: Style, mark: str = "^") -> Iterator[str]:
    line, column, *_ = source.position(span.start)
    arrow = style.margin(f"{'':>{gutter_width(source, span)}}-->")
    yield f"{arrow} {one_line(source.name)}:{line}:{column}"
    yield from excerpt(source, span, style, mark=mark)


def _remark(kind: str, text: str, margin: str, style: Style) -> Iterator[str]:
    first, *others = visible(text).split("\n")
    head = f"{margin}{style.margin('=')} {style.bold(kind + ':')} "
    yield head + first
    indent = " " * (len(margin) + len(kind) + 4)
    yield from (indent + other for other in others)


def _file(file: FileReport, report: Report, style: Style) -> Iterator[str]:
    for found in file.diagnostics:
        yield from explain_finding(found, style)
        yield ""
    for case in file.cases:
        yield from _case(case, style, verbose=report.verbose)


def _case(case: Case, style: Style, *, verbose: bool) -> Iterator[str]:
    title = one_line(case.title)
    match case.outcome:
        case Outcome.PASSED:
            if verbose:
                yield f"{style.good('passed')} {title}"
            return
        case Outcome.FAILED | Outcome.UNDECIDED:
            yield f"{style.bold(case.outcome.value)} {title}"
    for found in case.diagnostics:
        yield from explain_finding(found, style)
    yield ""
