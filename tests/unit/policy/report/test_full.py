from __future__ import annotations

from policy.report.full import explain_finding, render_findings, render_full
from policy.report.style import PLAIN, Style
from policy.source import Source, Span
from tests.support.reports import finding, hostile_report, plain_report


def test_passed_cases_are_listed_when_asked_for() -> None:
    report = plain_report()
    assert "passed tests[0]" not in render_full(report, PLAIN)
    assert "passed tests[0]" in render_full(report._replace(verbose=True), PLAIN)


def test_a_message_of_several_lines_stays_on_one() -> None:
    found = finding(Source("p", "x"), "POL103", "invalid literal: a\nb", Span(0, 1))
    assert explain_finding(found)[0] == "error[POL103]: invalid literal: a\u240ab"


def test_findings_alone_have_no_summary() -> None:
    found = finding(Source("p", "x"), "POL103", "invalid literal: x", Span(0, 1))
    assert render_findings([found], PLAIN) == (
        "error[POL103]: invalid literal: x\n --> p:1:1\n  |\n1 | x\n  | ^\n\n"
    )


def test_no_findings_are_no_text() -> None:
    assert render_findings([], PLAIN) == ""


def test_hostile_text_reaches_no_terminal() -> None:
    shown = render_full(hostile_report(), PLAIN)
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    shown.encode()


def test_colours_are_all_that_styles_differ_in() -> None:
    import re  # noqa: PLC0415  this test alone

    coloured = render_full(plain_report(), Style(is_coloured=True))
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == render_full(plain_report(), PLAIN)
