"""The formats by name. Each lives in a module of its own, imported when it is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from policy.report.style import PLAIN, Style

if TYPE_CHECKING:
    from policy.report.model import Report

__all__ = ["FORMATS", "render"]

FORMATS = ("full", "concise", "json", "sarif", "junit", "github", "tap", "markdown")


def render(report: Report, output_format: str, style: Style = PLAIN) -> str:
    """Return the report in one of `FORMATS`, a line feed at its end unless it is empty."""
    # ruff: noqa: PLC0415  one format is used in a run, and JSON or XML need not be loaded for text
    match output_format:
        case "full":
            from policy.report.full import render_full

            return render_full(report, style)
        case "concise":
            from policy.report.concise import render_concise

            return render_concise(report, style)
        case "json":
            from policy.report.as_json import render_json

            return render_json(report)
        case "sarif":
            from policy.report.sarif import render_sarif

            return render_sarif(report)
        case "junit":
            from policy.report.junit import render_junit

            return render_junit(report)
        case "github":
            from policy.report.github import render_github

            return render_github(report)
        case "tap":
            from policy.report.tap import render_tap

            return render_tap(report)
        case "markdown":
            from policy.report.markdown import render_markdown

            return render_markdown(report)
        case _:
            raise ValueError(f"no such format: {output_format}")
