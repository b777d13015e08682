from __future__ import annotations

from policy.report.model import FileReport, Report
from policy.report.style import PLAIN
from policy.report.summary import count_findings, count_tests, say_trust, summarise
from policy.report.trust import Trust
from policy.source import Source
from tests.support.reports import plain_report


def test_a_clean_file_is_called_valid() -> None:
    report = Report("check", (FileReport(Source("p", "{}"), ()),))
    assert list(summarise(report, PLAIN)) == ["p: valid"]


def test_trust_is_told_below_its_file() -> None:
    file = FileReport(Source("p", "{}"), (), trust=Trust(1, 0, 0, 0))
    lines = list(summarise(Report("check", (file,)), PLAIN))
    assert lines[1] == "  taken on trust without an inventory: 1 user"


def test_where_nothing_is_trusted_nothing_is_told() -> None:
    file = FileReport(Source("p", "{}"), (), trust=Trust(0, 0, 0, 0))
    assert len(list(summarise(Report("check", (file,)), PLAIN))) == 1


def test_several_files_have_a_total() -> None:
    assert list(summarise(plain_report(), PLAIN))[-1].startswith("2 files; 4 errors, 1 warning")


def test_findings_are_counted_by_kind() -> None:
    assert count_findings(plain_report()) == "4 errors, 1 warning"


def test_no_tests_are_not_mentioned() -> None:
    assert count_tests(plain_report().files[1]) == ""


def test_every_kind_of_trust_has_a_number() -> None:
    assert say_trust(Trust(1, 2, 1, 3)) == "1 user, 2 domains, 1 role, 3 undecided tests"
