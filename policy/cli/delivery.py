"""Bringing a report to where it was asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from policy.cli.exit_codes import CannotRunError
from policy.report.formats import render
from policy.report.style import PLAIN

if TYPE_CHECKING:
    from policy.cli.console import Console
    from policy.report.model import Report

__all__ = ["deliver", "write_out"]


def deliver(
    report: Report,
    console: Console,
    output_format: str | None,
    output_file: str | None,
    colour: str,
) -> None:
    """Write a report. Raises CannotRunError where a file cannot be written.

    In a job of GitHub Actions the default format makes annotations, and the job's summary gets
    the report as Markdown.
    """
    chosen = output_format or ("github" if console.is_on_github else "full")
    if output_file is None:
        console.write(render(report, chosen, console.style(colour)))
    else:
        style = console.style(colour) if colour == "always" else PLAIN
        write_out(render(report, chosen, style), output_file)
    summary = console.environ.get("GITHUB_STEP_SUMMARY")
    if console.is_on_github and summary:
        try:
            _write(render(report, "markdown") + "\n", summary, mode="a")
        except OSError as error:
            console.complain(f"job summary not written: {error.strerror}")


def write_out(text: str, path: str) -> None:
    """Write what was asked for to a file. Raises CannotRunError."""
    try:
        _write(text, path, mode="w")
    except OSError as error:
        raise CannotRunError(f"{path}: {error.strerror}") from error


def _write(text: str, path: str, *, mode: str) -> None:
    with open(path, mode, encoding="utf-8", errors="replace", newline="\n") as file:  # noqa: PTH123  pathlib would be half of a small check
        file.write(text)
