"""The examples in `examples/policies`: they load, pass their tests, and their tests mean something.

Beside `NN-name.hujson` lie `NN-name.inventory.json`, the tailnet that it is for, and sometimes
`NN-name.test.hujson`, a suite.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from engine.inventory import read_inventory
from engine.testing.run import run_tests
from policy.hujson.format import format_source
from policy.hujson.parse import parse
from policy.hujson.plain import to_python
from policy.hujson.tree import Object
from policy.load import load
from policy.source import Source
from policy.suite import load_suite

if TYPE_CHECKING:
    from engine.directory import Directory
    from engine.testing.report import TestReport

EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "policies"
FILES = {path.name: path for path in sorted(EXAMPLES.glob("*.hujson"))}
POLICIES = [name for name in FILES if not name.endswith(".test.hujson")]
SUITES = [name for name in FILES if name.endswith(".test.hujson")]
RULES = ("acls", "grants", "ssh")


class Example(NamedTuple):
    text: str
    tailnet: Directory
    suite: str | None


def example(name: str) -> Example:
    stem = name.removesuffix(".hujson")
    suite = EXAMPLES / f"{stem}.test.hujson"
    return Example(
        FILES[name].read_text(encoding="utf-8"),
        read_inventory((EXAMPLES / f"{stem}.inventory.json").read_bytes()),
        suite.read_text(encoding="utf-8") if suite.exists() else None,
    )


def report(text: str, tailnet: Directory | None, suite: str | None) -> TestReport:
    """Run a policy's own tests and those of its suite."""
    policy = load(Source("policy.hujson", text)).policy
    assert policy is not None
    tests, ssh_tests = policy.tests, policy.ssh_tests
    if suite is not None:
        loaded = load_suite(Source("policy.test.hujson", suite))
        tests, ssh_tests = (*tests, *loaded.tests), (*ssh_tests, *loaded.ssh_tests)
    return run_tests(policy, tailnet, tests, ssh_tests)


def complaints(outcome: TestReport) -> list[str | None]:
    return [found.help for found in outcome.diagnostics]


def plain(text: str) -> dict[str, Any]:
    root = parse(Source("policy.hujson", text)).root
    assert isinstance(root, Object)
    value: dict[str, Any] = to_python(root)
    return value


def rules() -> list[tuple[str, str, int]]:
    """Return every rule that tests can see: file, section and place.

    Network tests look past `autogroup:self` (policy reference 8.1).
    """
    return [
        (name, section, place)
        for name in POLICIES
        for section in RULES
        for place, rule in enumerate(plain(example(name).text).get(section, ()))
        if section == "ssh" or not all(dst.startswith("autogroup:self") for dst in rule["dst"])
    ]


def test_there_are_examples_and_all_files_belong_to_one() -> None:
    assert len(POLICIES) >= 10
    stems = {name.removesuffix(".hujson") for name in POLICIES}
    beside = {name.split(".")[0] for name in SUITES}
    beside |= {path.name.split(".")[0] for path in EXAMPLES.glob("*.json")}
    assert beside <= stems


def test_examples_are_numbered_without_a_gap() -> None:
    assert [int(name[:2]) for name in POLICIES] == list(range(1, len(POLICIES) + 1))


def test_overview_lists_every_example() -> None:
    overview = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    assert re.findall(r"\]\(([^)/]+\.hujson)\)", overview) == POLICIES


@pytest.mark.parametrize("name", POLICIES)
def test_example_loads_without_a_finding(name: str) -> None:
    loaded = load(Source(name, example(name).text), domains=example(name).tailnet.domains)
    assert [found.message for found in loaded.diagnostics] == []


@pytest.mark.parametrize("name", SUITES)
def test_suite_loads_without_a_finding(name: str) -> None:
    loaded = load_suite(Source(name, FILES[name].read_text(encoding="utf-8")))
    assert [found.message for found in loaded.diagnostics] == []
    assert loaded.tests or loaded.ssh_tests


@pytest.mark.parametrize("name", POLICIES)
def test_example_passes_its_tests_on_its_tailnet(name: str) -> None:
    outcome = report(*example(name))
    assert complaints(outcome) == []
    assert outcome.passed > 0


@pytest.mark.parametrize("name", POLICIES)
def test_example_fails_no_test_without_a_tailnet(name: str) -> None:
    text, _, suite = example(name)
    failed = report(text, None, suite).failed
    assert failed == 0


@pytest.mark.parametrize("name", POLICIES)
def test_example_asserts_access_as_well_as_its_absence(name: str) -> None:
    tests = plain(example(name).text)["tests"]
    assert any(test.get("accept") for test in tests)
    assert any(test.get("deny") for test in tests)


@pytest.mark.parametrize(("name", "section", "place"), rules())
def test_no_rule_of_an_example_goes_untested(name: str, section: str, place: int) -> None:
    text, tailnet, suite = example(name)
    policy = plain(text)
    del policy[section][place]
    failed = report(json.dumps(policy), tailnet, suite).failed
    assert failed > 0


@pytest.mark.parametrize("name", FILES)
def test_example_is_formatted(name: str) -> None:
    text = FILES[name].read_text(encoding="utf-8")
    assert format_source(Source(name, text)) == text
