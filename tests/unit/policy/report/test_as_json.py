from __future__ import annotations

import json

from policy.report.as_json import clean, render_json
from policy.report.model import FileReport, Report
from policy.report.trust import Trust
from policy.source import Source
from tests.support.reports import hostile_report, plain_report


def test_a_finding_has_the_keys_that_others_rely_on() -> None:
    found = json.loads(render_json(plain_report()))["diagnostics"][1]
    assert found == {
        "code": "POL210",
        "name": "unsupported-action",
        "severity": "error",
        "message": 'action="drop" is not supported',
        "file": "net/policy.hujson",
        "line": 4,
        "column": 52,
        "endLine": 4,
        "endColumn": 56,
        "help": "the only action is `accept`",
        "fix": {
            "title": "write `accept`",
            "text": "accept",
            "file": "net/policy.hujson",
            "line": 4,
            "column": 52,
            "endLine": 4,
            "endColumn": 56,
        },
    }


def test_help_is_left_out_where_there_is_none() -> None:
    assert "help" not in json.loads(render_json(plain_report()))["diagnostics"][0]


def test_related_places_are_told() -> None:
    related = json.loads(render_json(plain_report()))["diagnostics"][0]["related"]
    assert [(place["message"], place["column"]) for place in related] == [("first given here", 13)]


def test_tests_are_counted() -> None:
    assert json.loads(render_json(plain_report()))["tests"] == {
        "passed": 1,
        "failed": 1,
        "undecided": 1,
    }


def test_cases_tell_why_they_did_not_pass() -> None:
    cases = json.loads(render_json(plain_report()))["cases"]
    assert [("reason" in case, case["outcome"]) for case in cases] == [
        (False, "passed"),
        (True, "failed"),
        (True, "undecided"),
    ]


def test_trust_is_summed_over_files() -> None:
    file = FileReport(Source("p", "{}"), (), trust=Trust(1, 2, 3, 4))
    assert json.loads(render_json(Report("check", (file, file))))["trusted"] == {
        "users": 2,
        "domains": 4,
        "roles": 6,
        "tests": 8,
    }


def test_with_an_inventory_nothing_is_trusted() -> None:
    file = FileReport(Source("p", "{}"), ())
    assert json.loads(render_json(Report("check", (file,))))["trusted"] is None


def test_each_file_is_told_with_its_verdict() -> None:
    files = json.loads(render_json(plain_report()))["files"]
    assert [(file["file"], file["valid"]) for file in files] == [
        ("net/policy.hujson", False),
        ("valid.hujson", True),
    ]


def test_hostile_text_is_ascii_without_halves_of_characters() -> None:
    rendered = render_json(hostile_report())
    assert rendered.isascii()
    json.dumps(json.loads(rendered), ensure_ascii=False).encode()


def test_bytes_that_were_not_utf8_are_replaced() -> None:
    assert clean("a\udcffb") == "a\ufffdb"
