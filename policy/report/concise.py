"""One line for each finding, for editors, `grep` and quickfix lists: `file:line:column: ...`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from policy.report.summary import summarise
from policy.report.text import one_line

if TYPE_CHECKING:
    from policy.diagnostics.diagnostic import Diagnostic
    from policy.report.model import Report
    from policy.report.style import Style

__all__ = ["concise_line", "render_concise"]


def render_concise(report: Report, style: Style) -> str:
    """Return a line for each finding, then the summary."""
    lines = [concise_line(found, style) for found in report.findings]
    return "\n".join([*lines, *summarise(report, style)]) + "\n"


def concise_line(found: Diagnostic, style: Style) -> str:
    """Return `file:line:column: severity[code] message (help)`."""
    line, column, *_ = found.position
    label = style.severe(found.severity, f"{found.severity.value}[{found.code}]")
    tail = f" ({one_line(found.help.replace(chr(10), '; '))})" if found.help else ""
    name = one_line(found.source.name)
    return f"{name}:{line}:{column}: {label} {one_line(found.message)}{tail}"
