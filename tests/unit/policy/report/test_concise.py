from __future__ import annotations

import re

from policy.report.concise import concise_line, render_concise
from policy.report.style import PLAIN
from tests.support.reports import hostile_report, plain_report


def test_each_finding_is_a_line_with_its_place() -> None:
    lines = render_concise(plain_report(), PLAIN).splitlines()
    assert all(re.match(r"net/policy.hujson:\d+:\d+: \w+\[POL\d+\] ", line) for line in lines[:6])


def test_hostile_text_does_not_break_the_line() -> None:
    for found in hostile_report().findings:
        assert "\n" not in concise_line(found, PLAIN)
