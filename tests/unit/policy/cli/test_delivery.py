from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support.console import run_policy

if TYPE_CHECKING:
    from pathlib import Path

_GITHUB = {"GITHUB_ACTIONS": "true"}


def test_on_github_findings_are_annotations() -> None:
    ran = run_policy("check", "-", stdin=b"{", environ=_GITHUB)
    assert ran.stdout.startswith("::error file=<stdin>,line=1,")


def test_a_format_that_was_asked_for_is_given_on_github_too() -> None:
    ran = run_policy("check", "-", "-f", "concise", stdin=b"{", environ=_GITHUB)
    assert ran.stdout.startswith("<stdin>:1:2: error")


def test_somebody_at_a_terminal_reads_the_full_format() -> None:
    ran = run_policy("check", "-", stdin=b"{", environ=_GITHUB, terminal=True)
    assert "::error" not in ran.stdout


def test_the_job_summary_is_added_to(tmp_path: Path) -> None:
    summary = tmp_path / "summary.md"
    summary.write_text("before\n")
    environ = {**_GITHUB, "GITHUB_STEP_SUMMARY": str(summary)}
    run_policy("check", "-", stdin=b"{}", environ=environ)
    assert summary.read_text().startswith("before\n### `policy check`\n")


def test_elsewhere_there_is_no_job_summary(tmp_path: Path) -> None:
    summary = tmp_path / "summary.md"
    run_policy("check", "-", stdin=b"{}", environ={"GITHUB_STEP_SUMMARY": str(summary)})
    assert not summary.exists()


def test_a_job_summary_that_cannot_be_written_changes_no_verdict(tmp_path: Path) -> None:
    environ = {**_GITHUB, "GITHUB_STEP_SUMMARY": str(tmp_path)}
    ran = run_policy("check", "-", stdin=b"{}", environ=environ)
    assert ran.code == 0
    assert "job summary not written" in ran.stderr
