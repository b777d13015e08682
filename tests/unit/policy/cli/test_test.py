from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from policy.cli.test import suite_beside
from tests.support.console import run_policy

if TYPE_CHECKING:
    from pathlib import Path

SUITE = """\
{
	"tests": [
		{"name": "engineers reach the web", "src": "group:eng", "accept": ["tag:web:443"]},
		{"name": "and no shell", "src": "group:eng", "deny": ["tag:web:1-442"]},
	],
}
"""
FAILING = '{"tests": [{"name": "a shell", "src": "ann@corp.test", "accept": ["tag:web:22"]}]}'


@pytest.fixture
def suite(policy: Path) -> Path:
    path = policy.with_name("policy.test.hujson")
    path.write_text(SUITE, encoding="utf-8")
    return path


def test_a_policy_s_own_tests_are_run(policy: Path) -> None:
    ran = run_policy("test", policy)
    assert ran.code == 0
    assert "tests: 1 passed" in ran.stdout


def test_the_suite_beside_a_policy_is_run_too(policy: Path, suite: Path) -> None:
    assert suite_beside(str(policy)) == [str(suite)]
    assert "tests: 3 passed" in run_policy("test", policy).stdout


def test_suites_that_are_named_are_run_instead(policy: Path, suite: Path, folder: Path) -> None:
    other = folder / "other.test.hujson"
    other.write_text(FAILING, encoding="utf-8")
    ran = run_policy("test", policy, other)
    assert ran.code == 1
    assert "tests: 1 passed, 1 failed" in ran.stdout
    assert "other.test.hujson:1:" in ran.stdout


def test_nothing_lies_beside_standard_input() -> None:
    assert suite_beside("-") == []


def test_a_failure_is_readable(policy: Path, folder: Path) -> None:
    other = folder / "other.test.hujson"
    other.write_text(FAILING, encoding="utf-8")
    shown = run_policy("test", policy, other).stdout
    assert "failed a shell" in shown
    assert "error[POL501]: test(s) failed" in shown
    assert "want accept, got deny" in shown


def test_a_suite_with_mistakes_is_a_finding(policy: Path, folder: Path) -> None:
    other = folder / "other.test.hujson"
    other.write_text('{"tests": [{"sorce": "x"}]}', encoding="utf-8")
    ran = run_policy("test", policy, other)
    assert ran.code == 1
    assert "POL202" in ran.stdout


def test_tests_of_an_invalid_policy_are_not_run(folder: Path) -> None:
    path = folder / "p.hujson"
    path.write_text('{"acls": 1, "tests": [{"src": "a@b.test", "accept": ["c@b.test:1"]}]}')
    ran = run_policy("test", path, "-f", "json")
    assert ran.code == 1
    assert ran.json()["cases"] == []


def test_undecided_is_neither_passed_nor_failed(folder: Path) -> None:
    path = folder / "p.hujson"
    path.write_text('{"tests": [{"src": "a@b.test", "accept": ["100.64.0.9:1"]}], "acls": []}')
    path.write_text(
        '{"acls": [{"action": "accept", "src": ["autogroup:admin"], "dst": ["tag:x:*"]}],'
        ' "tagOwners": {"tag:x": []}, "tests": [{"src": "a@b.test", "accept": ["tag:x:1"]}]}'
    )
    ran = run_policy("test", path)
    assert ran.code == 3
    assert "undecided tests[0] a@b.test" in ran.stdout


def test_an_inventory_decides(policy: Path, inventory: Path) -> None:
    ran = run_policy("test", policy, "-i", inventory, "-f", "json")
    assert ran.code == 0
    assert ran.json()["trusted"] is None


def test_tests_can_be_selected_by_title(policy: Path, suite: Path) -> None:
    ran = run_policy("test", policy, "--select", "shell", "--verbose")
    assert "passed and no shell" in ran.stdout
    assert "engineers" not in ran.stdout


def test_no_test_at_all_is_said(folder: Path) -> None:
    path = folder / "p.hujson"
    path.write_text("{}")
    ran = run_policy("test", path)
    assert ran.code == 0
    assert "no test was run" in ran.stderr


def test_no_test_at_all_fails_where_that_is_asked_for(folder: Path) -> None:
    path = folder / "p.hujson"
    path.write_text("{}")
    assert run_policy("test", path, "--fail-on-empty").code == 1


@pytest.mark.parametrize("output_format", ["junit", "tap", "json", "markdown", "github", "sarif"])
def test_results_can_be_had_in_other_formats(policy: Path, output_format: str) -> None:
    assert run_policy("test", policy, "-f", output_format).code == 0
