from __future__ import annotations

from policy.diagnostics.diagnostic import Severity
from policy.report.model import FileReport, Outcome, Report
from policy.source import Source, Span
from tests.support.reports import finding, plain_report


def test_findings_of_cases_count_as_findings() -> None:
    codes = [found.code for found in plain_report().findings]
    assert codes == ["POL105", "POL210", "POL310", "POL303", "POL501", "POL505"]


def test_outcomes_are_counted_over_all_files() -> None:
    report = plain_report()
    assert [report.count(outcome) for outcome in Outcome] == [1, 1, 1]


def test_findings_are_counted_by_severity() -> None:
    report = plain_report()
    assert [report.found(severity) for severity in Severity] == [4, 1, 1]


def test_a_warning_leaves_a_policy_valid() -> None:
    source = Source("p", "{}")
    found = finding(source, "POL310", "user not in the inventory", Span(0, 1))
    assert FileReport(source, (found,)).is_valid


def test_a_failing_case_makes_a_policy_invalid() -> None:
    file = plain_report().files[0]
    assert not file._replace(diagnostics=()).is_valid


def test_an_empty_report_finds_nothing() -> None:
    assert not list(Report("check", ()).findings)


def test_the_reason_of_a_case_is_its_detail() -> None:
    failed = plain_report().files[0].cases[1]
    assert failed.reason == "tag:web:443: want accept, got deny\nno rule comes near"


def test_a_case_without_findings_says_its_outcome() -> None:
    passed = plain_report().files[0].cases[0]
    assert passed.reason == "passed"
