from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest
import yaml

from policy.report.tap import render_tap
from tests.support import reports

if TYPE_CHECKING:
    from policy.report.model import Report

_POINT = re.compile(r"(not )?ok (\d+) - ")


@pytest.mark.parametrize(
    "report", [reports.plain_report(), reports.hostile_report()], ids=["plain", "hostile"]
)
def test_the_plan_matches_the_points(report: Report) -> None:
    lines = render_tap(report).splitlines()
    points = [int(found[2]) for line in lines if (found := _POINT.match(line))]
    assert lines[:2] == ["TAP version 14", f"1..{len(points)}"]
    assert points == list(range(1, len(points) + 1))


def test_an_undecided_case_is_skipped() -> None:
    assert re.search(r"^ok 4 - .* # SKIP ", render_tap(reports.plain_report()), re.MULTILINE)


def test_titles_hold_no_directives() -> None:
    failing = [
        line for line in render_tap(reports.hostile_report()).splitlines() if "not ok" in line
    ]
    assert not any(re.search(r"(?<!\\)#", line) for line in failing)


@pytest.mark.parametrize(
    "report", [reports.plain_report(), reports.hostile_report()], ids=["plain", "hostile"]
)
def test_details_are_yaml(report: Report) -> None:
    blocks = re.findall(r"^  ---\n(.*?)^  \.\.\.$", render_tap(report), re.MULTILINE | re.DOTALL)
    assert blocks
    for block in blocks:
        findings = yaml.safe_load(block)["findings"]
        assert all(found["code"].startswith("POL") for found in findings)


def test_messages_are_what_they_were() -> None:
    assert json.dumps('action="drop" is not supported') in render_tap(reports.plain_report())
