from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.console import run_policy

if TYPE_CHECKING:
    from pathlib import Path

UNDECIDED = '{"acls": [], "grants": [{"src": ["autogroup:admin"], "dst": ["*"], "ip": ["*"]}],'
UNDECIDED += ' "tests": [{"src": "ann@corp.test", "accept": ["100.64.0.9:22"]}]}'


def _write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_a_valid_policy_is_clean(policy: Path) -> None:
    ran = run_policy("check", policy)
    assert ran.code == 0
    assert ran.stderr == ""


def test_what_was_taken_on_trust_is_told_in_numbers(policy: Path) -> None:
    assert "taken on trust without an inventory: 2 users" in run_policy("check", policy).stdout


def test_with_an_inventory_nothing_is_taken_on_trust(policy: Path, inventory: Path) -> None:
    ran = run_policy("check", policy, "--inventory", inventory)
    assert ran.code == 0
    assert "trust" not in ran.stdout


def test_an_invalid_policy_is_a_finding(folder: Path) -> None:
    path = _write(folder, "p", '{"acls": [{"action": "drop"}]}')
    ran = run_policy("check", path)
    assert ran.code == 1
    assert 'error[POL210]: action="drop" is not supported' in ran.stdout


def test_all_problems_are_told_the_service_s_first_one_first(folder: Path) -> None:
    text = '{"acls": [{"action": "drop", "src": ["tag:x"]}], "groups": {"group:a": ["group:b"]}}'
    ran = run_policy("check", _write(folder, "p", text), "-f", "json")
    assert [found["message"] for found in ran.json()["diagnostics"]] == [
        'groups["group:a"]: "group:b": group members cannot be recursive',
        'action="drop" is not supported',
        'src=tag not found: "tag:x"',
    ]


def test_a_failing_test_is_a_finding(folder: Path) -> None:
    text = '{"acls": [], "tests": [{"src": "a@b.test", "accept": ["c@b.test:1"]}]}'
    ran = run_policy("check", _write(folder, "p", text), "-f", "json")
    assert ran.code == 1
    told = ran.json()
    assert told["tests"] == {"passed": 0, "failed": 1, "undecided": 0}
    assert told["diagnostics"][0]["message"] == "test(s) failed"


def test_an_undecided_test_is_no_finding(folder: Path) -> None:
    ran = run_policy("check", _write(folder, "p", UNDECIDED), "-f", "json")
    assert ran.code == 0
    assert ran.json()["tests"]["undecided"] == 1
    assert ran.json()["trusted"]["tests"] == 1


def test_undecided_tests_fail_where_that_level_is_asked_for(folder: Path) -> None:
    path = _write(folder, "p", UNDECIDED)
    assert run_policy("check", path, "--fail-level", "info").code == 1


def test_findings_can_be_told_without_failing(folder: Path) -> None:
    path = _write(folder, "p", '{"acls": [{"action": "drop"}]}')
    assert run_policy("check", path, "--exit-zero").code == 0


def test_a_login_that_the_inventory_lacks_is_a_warning(policy: Path, inventory: Path) -> None:
    text = policy.read_text(encoding="utf-8").replace("ann@corp.test", "anm@corp.test")
    policy.write_text(text.replace('"src": "anm', '"src": "ann'), encoding="utf-8")
    ran = run_policy("check", policy, "-i", inventory, "-f", "json")
    warnings = [d for d in ran.json()["diagnostics"] if d["code"] == "POL310"]
    assert [(w["severity"], w["line"], w["help"]) for w in warnings] == [
        ("warning", 3, "did you mean `ann@corp.test`?")
    ]


def test_domains_are_judged_by_the_inventory(folder: Path, inventory: Path) -> None:
    text = '{"grants": [{"src": ["user:*@other.test"], "dst": ["*"], "ip": ["*"]}]}'
    path = _write(folder, "p", text)
    assert run_policy("check", path).code == 0
    assert run_policy("check", path, "-i", inventory).code == 1


def test_several_files_are_all_checked(policy: Path, folder: Path) -> None:
    bad = _write(folder, "bad.hujson", "{")
    ran = run_policy("check", policy, bad, "-f", "json")
    assert [file["valid"] for file in ran.json()["files"]] == [True, False]
    assert ran.code == 1


def test_what_cannot_be_read_does_not_keep_the_rest_from_being_checked(policy: Path) -> None:
    ran = run_policy("check", "missing.hujson", policy)
    assert ran.code == 2
    assert ran.stderr == "policy: missing.hujson: No such file or directory\n"
    assert "valid" in ran.stdout


def test_standard_input_has_the_name_it_is_given() -> None:
    ran = run_policy("check", "-", "--stdin-filename", "x.hujson", "-f", "concise", stdin=b"{")
    assert ran.code == 1
    assert ran.stdout.startswith("x.hujson:1:2: error[POL102]")


def test_standard_input_is_read_once_only() -> None:
    ran = run_policy("check", "-", "-", stdin=b"{}")
    assert ran.code == 2
    assert "only once" in ran.stderr


def test_a_suite_is_checked_as_a_suite(folder: Path) -> None:
    text = '{"tests": [{"name": "x", "src": ["a@b.test"], "accept": ["tag:x:1-9"]}]}'
    assert run_policy("check", _write(folder, "p.test.hujson", text)).code == 0
    assert run_policy("check", _write(folder, "p.hujson", text)).code == 1


def test_a_report_goes_to_a_file_where_that_is_asked_for(policy: Path, folder: Path) -> None:
    ran = run_policy("check", policy, "-f", "json", "-o", folder / "out.json")
    assert ran.stdout == ""
    assert '"diagnostics": []' in (folder / "out.json").read_text(encoding="utf-8")


def test_a_file_that_cannot_be_written_is_told(policy: Path, folder: Path) -> None:
    ran = run_policy("check", policy, "-o", folder)
    assert ran.code == 2
    assert "Is a directory" in ran.stderr


def test_a_file_that_is_wrong_everywhere_is_told_in_part() -> None:
    members = ", ".join(f'"x{i}": 1' for i in range(1200))
    ran = run_policy("check", "-", stdin=f"{{{members}}}".encode())
    assert ran.code == 1
    assert ran.stdout.count("error[POL202]") == 1000
    assert "200 more findings not listed" in ran.stdout


def test_help_teaches_with_examples() -> None:
    ran = run_policy("check", "--help")
    assert ran.code == 0
    assert "examples:\n  policy check policy.hujson" in ran.stdout
    assert "exit codes:" in ran.stdout


def test_no_policy_is_wrong_usage() -> None:
    ran = run_policy("check")
    assert ran.code == 2
    assert "POLICY" in ran.stderr


@pytest.mark.parametrize("output_format", ["sarif", "junit", "tap", "markdown", "github"])
def test_other_formats_can_be_had(policy: Path, output_format: str) -> None:
    ran = run_policy("check", policy, "--output-format", output_format)
    assert ran.code == 0
    assert ran.stdout
