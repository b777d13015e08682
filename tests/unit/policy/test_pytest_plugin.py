from __future__ import annotations

import subprocess
import sys

import pytest

pytest_plugins = ["pytester"]

POLICY = """\
{
	"tagOwners": {"tag:web": []},
	"acls": [{"action": "accept", "src": ["ann@corp.test"], "dst": ["tag:web:443"]}],
	"tests": [
		{"src": "ann@corp.test", "accept": ["tag:web:443"], "deny": ["tag:web:22"]},
	],
}
"""
FAILING = POLICY.replace('"tag:web:22"]}', '"tag:web:22", "tag:web:443"]}')
UNDECIDED = POLICY.replace('"src": "ann@corp.test", "accept"', '"src": "100.64.0.9", "accept"')
INVENTORY = """{
  "users": [{"loginName": "ann@corp.test"}],
  "devices": [
    {"hostname": "lap", "addresses": ["100.64.0.9"], "user": "ann@corp.test"},
    {"hostname": "web", "addresses": ["100.64.0.20"], "tags": ["tag:web"]}
  ]
}"""
SUITE = '{"tests": [{"name": "no shell", "src": "ann@corp.test", "deny": ["tag:web:1-442"]}]}'


@pytest.fixture
def tester(pytester: pytest.Pytester) -> pytest.Pytester:
    """Return a project with a settings file and one ordinary test."""
    pytester.makeini("[pytest]\nasyncio_default_fixture_loop_scope = function\n")
    pytester.makepyfile(test_ordinary="def test_ordinary(): pass")
    return pytester


def _write(tester: pytest.Pytester, name: str, text: str) -> None:
    path = tester.path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _run(tester: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    return tester.runpytest_inprocess("-p", "no:cacheprovider", *arguments)


def test_a_named_policy_is_collected_with_its_tests(tester: pytest.Pytester) -> None:
    _write(tester, "p.hujson", POLICY)
    result = _run(tester, "--policy", "p.hujson", "-v")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(
        ["p.hujson::valid PASSED*", "p.hujson::tests?0? ann@corp.test PASSED*"]
    )


def test_a_named_policy_sits_beside_named_paths(tester: pytest.Pytester) -> None:
    _write(tester, "p.hujson", POLICY)
    _run(tester, "test_ordinary.py", "--policy", "p.hujson").assert_outcomes(passed=3)


def test_policies_can_be_named_by_a_pattern(tester: pytest.Pytester) -> None:
    _write(tester, "a/p.hujson", POLICY)
    _write(tester, "b/p.hujson", POLICY)
    _run(tester, "--policy", "**/*.hujson").assert_outcomes(passed=4)


def test_the_suite_beside_a_named_policy_is_run_too(tester: pytest.Pytester) -> None:
    _write(tester, "p.hujson", POLICY)
    _write(tester, "p.test.hujson", SUITE)
    _run(tester, "--policy", "p.hujson").assert_outcomes(passed=3)


def test_a_missing_policy_is_wrong_usage(tester: pytest.Pytester) -> None:
    result = _run(tester, "--policy", "missing.hujson")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*there is no file missing.hujson"])


def test_a_failure_shows_the_policy_and_no_traceback(tester: pytest.Pytester) -> None:
    _write(tester, "p.hujson", FAILING)
    result = _run(tester, "--policy", "p.hujson")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        ["error?POL501?: test(s) failed", " --> p.hujson:5:*", "*want deny, got accept*"]
    )
    result.stdout.no_fnmatch_line("*Traceback*")
    result.stdout.no_fnmatch_line("*pytest_plugin.py*")


def test_a_mistake_in_a_policy_fails_its_text(tester: pytest.Pytester) -> None:
    _write(tester, "p.hujson", '{"acls": [{"action": "drop"}]}')
    result = _run(tester, "--policy", "p.hujson")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(['error?POL210?: action="drop" is not supported'])


def test_an_undecided_test_is_skipped_with_the_reason(tester: pytest.Pytester) -> None:
    _write(tester, "p.hujson", UNDECIDED)
    result = _run(tester, "--policy", "p.hujson", "-rs")
    result.assert_outcomes(passed=1, skipped=1)
    result.stdout.fnmatch_lines(["SKIPPED*undecided: 100.64.0.9 to tag:web:443*"])


def test_an_undecided_test_can_fail(tester: pytest.Pytester) -> None:
    _write(tester, "p.hujson", UNDECIDED)
    _run(tester, "--policy", "p.hujson", "--policy-strict").assert_outcomes(passed=1, failed=1)


def test_an_inventory_decides(tester: pytest.Pytester) -> None:
    _write(tester, "p.hujson", UNDECIDED)
    _write(tester, "inv.json", INVENTORY)
    result = _run(tester, "--policy", "p.hujson", "--policy-inventory", "inv.json")
    result.assert_outcomes(passed=2)


def test_the_inventory_beside_a_policy_is_used(tester: pytest.Pytester) -> None:
    _write(tester, "p.hujson", UNDECIDED)
    _write(tester, "p.inventory.json", INVENTORY)
    _run(tester, "--policy", "p.hujson").assert_outcomes(passed=2)


def test_the_inventory_can_be_a_setting(tester: pytest.Pytester) -> None:
    _write(tester, "p.hujson", UNDECIDED)
    _write(tester, "inv.json", INVENTORY)
    result = _run(tester, "--policy", "p.hujson", "-o", "policy_inventory=inv.json")
    result.assert_outcomes(passed=2)


def test_an_unusable_inventory_is_an_error_in_words(tester: pytest.Pytester) -> None:
    _write(tester, "p.hujson", POLICY)
    _write(tester, "inv.json", "[]")
    result = _run(tester, "--policy", "p.hujson", "--policy-inventory", "inv.json")
    result.assert_outcomes(errors=1)
    result.stdout.no_fnmatch_line("*Traceback*")


def test_suites_are_collected_in_any_run(tester: pytest.Pytester) -> None:
    _write(tester, "p.hujson", POLICY)
    _write(tester, "p.test.hujson", SUITE)
    result = _run(tester, "-v")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["p.test.hujson::tests?0? no shell PASSED*"])


def test_suites_are_left_alone_where_that_is_set(tester: pytest.Pytester) -> None:
    _write(tester, "p.hujson", POLICY)
    _write(tester, "p.test.hujson", SUITE)
    _run(tester, "-o", "policy_suites=").assert_outcomes(passed=1)


def test_a_suite_without_a_policy_is_an_error_in_words(tester: pytest.Pytester) -> None:
    _write(tester, "p.test.hujson", SUITE)
    result = _run(tester)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*there is no p.hujson beside it*"])


def test_a_suite_elsewhere_runs_against_the_only_policy_named(tester: pytest.Pytester) -> None:
    _write(tester, "p.hujson", POLICY)
    _write(tester, "suites/other.test.hujson", SUITE)
    result = _run(tester, "suites/other.test.hujson", "--policy", "p.hujson")
    result.assert_outcomes(passed=3)


def test_a_mistake_in_a_suite_fails_its_text(tester: pytest.Pytester) -> None:
    _write(tester, "p.hujson", POLICY)
    _write(tester, "p.test.hujson", '{"tests": [{"sorce": "x"}]}')
    result = _run(tester)
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["error?POL202?:*"])


def test_a_suite_of_an_invalid_policy_fails_once(tester: pytest.Pytester) -> None:
    _write(tester, "p.hujson", "{")
    _write(tester, "p.test.hujson", SUITE)
    _run(tester).assert_outcomes(passed=1, failed=1)


@pytest.mark.parametrize("pattern", ["*.hujson", "net/*.hujson", "net/**"])
def test_policies_are_collected_by_a_setting(tester: pytest.Pytester, pattern: str) -> None:
    _write(tester, "net/p.hujson", POLICY)
    _run(tester, "-o", f"policy_files={pattern}").assert_outcomes(passed=3)


def test_policies_are_not_collected_unasked(tester: pytest.Pytester) -> None:
    _write(tester, "p.hujson", POLICY)
    _run(tester).assert_outcomes(passed=1)


def test_tests_can_be_selected_by_name(tester: pytest.Pytester) -> None:
    _write(tester, "p.hujson", POLICY)
    _write(tester, "p.test.hujson", SUITE)
    result = _run(tester, "--policy", "p.hujson", "-k", "shell")
    result.assert_outcomes(passed=1, deselected=2)


def test_a_test_knows_its_line(tester: pytest.Pytester) -> None:
    _write(tester, "p.hujson", POLICY)
    items, _ = tester.inline_genitems("--policy", "p.hujson")
    path, line, title = items[1].reportinfo()
    assert (str(path), line, title) == (
        str(tester.path / "p.hujson"),
        4,
        "p.hujson: tests[0] ann@corp.test",
    )


def test_a_run_without_policies_imports_nothing_of_ours(tester: pytest.Pytester) -> None:
    tester.makepyfile(
        test_ordinary="""
        import sys

        def test_nothing_is_imported():
            ours = [name for name in sys.modules if name.partition(".")[0] in {"policy", "engine"}]
            assert sorted(ours) == ["policy", "policy.pytest_plugin"]
        """
    )
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", str(tester.path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout
