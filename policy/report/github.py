"""Workflow commands of GitHub Actions, which become annotations beside the lines of a change."""

from __future__ import annotations

from typing import TYPE_CHECKING

from policy.diagnostics.diagnostic import Severity
from policy.report.style import PLAIN
from policy.report.summary import summarise
from policy.report.text import visible

if TYPE_CHECKING:
    from policy.diagnostics.diagnostic import Diagnostic
    from policy.report.model import Report

__all__ = ["render_github"]

_COMMANDS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "notice"}


def render_github(report: Report) -> str:
    """Return a command for each finding, then the summary for the log."""
    lines = [_command(found) for found in report.findings]
    # A line of the summary starts with a file's name, which must not pass for a command.
    lines.extend(line.replace("::", ":\u200b:") for line in summarise(report, PLAIN))
    return "\n".join(lines) + "\n"


def _command(found: Diagnostic) -> str:
    start, end = found.position, found.end_position
    properties = {
        "file": found.source.name,
        "line": str(start.line),
        "endLine": str(end.line),
        "col": str(start.column),
    }
    if start.line == end.line:
        # Annotations of several lines cannot have columns at their end.
        properties["endColumn"] = str(end.column)
    properties["title"] = f"{found.code} {found.name}"
    told = ",".join(f"{name}={_property(value)}" for name, value in properties.items())
    message = f"{found.message}\n{found.help}" if found.help else found.message
    return f"::{_COMMANDS[found.severity]} {told}::{_data(message)}"


def _data(text: str) -> str:
    # The percent sign first: it is what the other escapes are made of.
    return visible(text).replace("%", "%25").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
