from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
import xmlschema

from policy.report.junit import render_junit
from policy.report.model import Report
from tests.support import reports

_SCHEMA = Path(__file__).parents[3] / "support" / "schemas" / "junit-10.xsd"


def _root(report: Report) -> ET.Element:
    return ET.fromstring(render_junit(report))  # noqa: S314  our own output


@pytest.mark.parametrize(
    "report",
    [reports.plain_report(), reports.hostile_report(), Report("check", ())],
    ids=["plain", "hostile", "empty"],
)
def test_the_document_follows_the_schema(report: Report) -> None:
    xmlschema.XMLSchema(str(_SCHEMA)).validate(render_junit(report))


def test_the_schema_refuses_what_is_not_junit() -> None:
    broken = render_junit(reports.plain_report()).replace("<failure", "<mishap")
    broken = broken.replace("</failure", "</mishap")
    assert not xmlschema.XMLSchema(str(_SCHEMA)).is_valid(broken)


def test_counts_are_those_of_the_cases() -> None:
    root = _root(reports.plain_report())
    for suite in root:
        assert int(suite.attrib["tests"]) == len(suite.findall("testcase"))
        assert int(suite.attrib["failures"]) == len(suite.findall("testcase/failure"))
        assert int(suite.attrib["skipped"]) == len(suite.findall("testcase/skipped"))
    assert root.attrib["tests"] == "5"
    assert root.attrib["failures"] == "2"


def test_the_text_of_a_policy_is_a_case() -> None:
    failure = _root(reports.plain_report()).find("testsuite/testcase/failure")
    assert failure is not None
    assert failure.attrib == {"type": "POL105", "message": 'duplicate name "group:dev"'}


def test_a_failure_shows_the_place() -> None:
    failures = _root(reports.plain_report()).findall("testsuite/testcase/failure")
    assert "net/policy.hujson:6:3" in (failures[-1].text or "")


def test_warnings_are_told_beside_the_cases() -> None:
    told = _root(reports.plain_report()).findtext("testsuite/system-out") or ""
    assert "warning[POL310]" in told


def test_lines_of_a_message_survive_in_an_attribute() -> None:
    failures = _root(reports.plain_report()).findall("testsuite/testcase/failure")
    assert "\n" in failures[-1].attrib["message"]
