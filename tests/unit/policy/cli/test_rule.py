from __future__ import annotations

import pytest

from policy.cli.rule import page
from policy.diagnostics.registry import RULES
from tests.support.console import run_policy


@pytest.mark.parametrize("code", RULES)
def test_every_code_has_a_page(code: str) -> None:
    assert page(RULES[code]).startswith(f"# {code} {RULES[code].name}\n")


@pytest.mark.parametrize("name", ["POL301", "pol301", "undefined-tag", " Undefined-Tag "])
def test_a_code_is_found_by_number_and_by_name(name: str) -> None:
    ran = run_policy("rule", name)
    assert ran.code == 0
    assert ran.stdout.startswith("# POL301 undefined-tag\n")


def test_several_pages_are_printed_in_turn() -> None:
    shown = run_policy("rule", "POL302", "POL301").stdout
    assert 0 <= shown.index("# POL302") < shown.index("# POL301")


def test_an_unknown_code_is_refused_with_the_nearest() -> None:
    ran = run_policy("rule", "undefined-tags")
    assert ran.code == 2
    assert "did you mean `undefined-tag`?" in ran.stderr


def test_all_codes_can_be_listed() -> None:
    lines = run_policy("rule", "--all").stdout.splitlines()
    assert [line.split()[0] for line in lines] == list(RULES)


def test_json_holds_the_page() -> None:
    (told,) = run_policy("rule", "POL101", "-f", "json").json()
    assert told["name"] == "invalid-character"
    assert told["page"].startswith("# POL101")


@pytest.mark.parametrize("arguments", [[], ["--all", "POL101"]])
def test_either_codes_or_all_are_asked_for(arguments: list[str]) -> None:
    assert run_policy("rule", *arguments).code == 2
