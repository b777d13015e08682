from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from policy.report.model import Report
from policy.report.sarif import render_sarif
from policy.source import Source
from tests.support import reports

_SCHEMA = Path(__file__).parents[3] / "support" / "schemas" / "sarif-2.1.0.json"


def _run(report: Report) -> Any:
    return json.loads(render_sarif(report))["runs"][0]


@pytest.mark.parametrize(
    "report",
    [reports.plain_report(), reports.hostile_report(), Report("check", ())],
    ids=["plain", "hostile", "empty"],
)
def test_the_log_follows_the_schema_of_the_standard(report: Report) -> None:
    schema = json.loads(_SCHEMA.read_text(encoding="utf-8"))
    validator = jsonschema.Draft7Validator(
        schema, format_checker=jsonschema.Draft7Validator.FORMAT_CHECKER
    )
    validator.validate(json.loads(render_sarif(report)))


def test_the_schema_refuses_what_is_not_sarif() -> None:
    schema = json.loads(_SCHEMA.read_text(encoding="utf-8"))
    log = json.loads(render_sarif(reports.plain_report()))
    log["runs"][0]["results"][0]["level"] = "fatal"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft7Validator(schema).validate(log)


def test_each_result_points_at_its_rule() -> None:
    run = _run(reports.plain_report())
    rules = run["tool"]["driver"]["rules"]
    assert all(rules[r["ruleIndex"]]["id"] == r["ruleId"] for r in run["results"])
    assert [r["ruleId"] for r in run["results"]] == [
        "POL105",
        "POL210",
        "POL310",
        "POL303",
        "POL501",
        "POL505",
    ]


def test_columns_count_characters_and_the_end_is_not_included() -> None:
    result = _run(reports.plain_report())["results"][3]
    assert result["locations"][0]["physicalLocation"]["region"] == {
        "startLine": 4,
        "startColumn": 13,
        "endLine": 4,
        "endColumn": 15,
    }


def test_severities_have_levels() -> None:
    levels = [r["level"] for r in _run(reports.plain_report())["results"]]
    assert levels == ["error", "error", "warning", "error", "error", "note"]


def test_related_places_and_fixes_are_told() -> None:
    first, second, *_ = _run(reports.plain_report())["results"]
    assert first["relatedLocations"][0]["message"]["text"] == "first given here"
    replacement = second["fixes"][0]["artifactChanges"][0]["replacements"][0]
    assert replacement["insertedContent"] == {"text": "accept"}


def test_file_names_are_uris() -> None:
    results = _run(reports.hostile_report())["results"]
    uri = results[0]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
    assert uri.isascii()
    assert not set(uri) & set("|`<>\"' #\\")


def test_an_absolute_name_is_a_file_uri() -> None:
    report = reports.plain_report()
    found = report.files[0].diagnostics[0]
    source = Source("/etc/a b.hujson", found.source.text)
    file = report.files[0]._replace(diagnostics=(found._replace(source=source),), cases=())
    result = _run(Report("check", (file,)))["results"][0]
    location = result["locations"][0]["physicalLocation"]["artifactLocation"]
    assert location == {"uri": "file:///etc/a%20b.hujson"}
