from __future__ import annotations

import re

from policy.report.github import render_github
from tests.support.reports import hostile_report, plain_report

_COMMAND = re.compile(r"::(error|warning|notice) ([^:]*)::(.*)")


def test_every_finding_is_an_annotation() -> None:
    lines = render_github(plain_report()).splitlines()
    kinds = [found[1] for line in lines if (found := _COMMAND.fullmatch(line))]
    assert kinds == ["error", "error", "warning", "error", "error", "notice"]


def test_an_annotation_of_several_lines_has_no_end_column() -> None:
    line = render_github(plain_report()).splitlines()[4]
    assert "line=6,endLine=9,col=3,title=" in line


def test_hostile_text_makes_no_commands_of_its_own() -> None:
    lines = render_github(hostile_report()).splitlines()
    findings = list(hostile_report().findings)
    assert all(_COMMAND.fullmatch(line) for line in lines[: len(findings)])
    assert not any("::" in line for line in lines[len(findings) :])


def test_percent_signs_are_escaped_first() -> None:
    assert "%250A" in render_github(hostile_report())
