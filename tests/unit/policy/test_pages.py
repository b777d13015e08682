"""Every code has a page, and the pages speak the truth: their examples are loaded here."""

from __future__ import annotations

import json
import re
from importlib.resources import files
from typing import NamedTuple

import pytest

from engine.inventory import read_inventory
from engine.testing.run import run_tests
from policy.diagnostics.registry import RULES
from policy.hujson.format import format_source
from policy.load import load
from policy.source import MAX_BYTES, Source

DOMAINS = frozenset({"corp.example"})
"""The tailnet of all examples; pages about domains say so."""

TAILNET = read_inventory(
    json.dumps(
        {
            "users": [{"id": "1", "loginName": "ann@corp.example", "role": "owner"}],
            "devices": [
                {"hostname": "laptop", "addresses": ["100.64.0.9"], "user": "ann@corp.example"},
                {"hostname": "web", "addresses": ["100.64.0.20"], "tags": ["tag:web"]},
            ],
        }
    )
)
"""What the tests on pages are evaluated against."""

PAGES = {
    entry.name.removesuffix(".md"): entry.read_text(encoding="utf-8")
    for entry in files("policy.diagnostics").joinpath("pages").iterdir()
    if entry.name.endswith(".md")
}

BY_BYTES = {
    "POL104": b'// caf\xe9 network\n{"acls": []}\n',
    "POL106": b"[" * 10_001 + b"]" * 10_001,
    "POL107": b" " * (MAX_BYTES + 1),
}
"""Codes whose mistake does not fit on a page, with a text that makes it."""

BY_TESTS = {"POL501", "POL502", "POL503", "POL504"}
"""Codes that come of evaluating tests, which a policy without mistakes may still fail."""

ELSEWHERE = {
    "POL310": "needs the users of an inventory; given by `policy check --inventory`",
    "POL505": "given where a test needs an inventory and there is none",
    "POL601": "a policy of this kind is legal; given by `policy check`",
    "POL602": "says what `policy check` did not check",
    "POL901": "a fault of the tool, which no policy should bring about",
}
"""Codes that `load` never gives, and why."""

BY_LOADING = sorted(set(RULES) - set(BY_BYTES) - BY_TESTS - set(ELSEWHERE))


class Snippets(NamedTuple):
    avoid: str | None
    prefer: str | None


def snippets(code: str) -> Snippets:
    avoid, prefer = (_snippet(code, heading) for heading in ("Avoid", "Prefer"))
    return Snippets(avoid, prefer)


def _snippet(code: str, heading: str) -> str | None:
    section = re.search(rf"^## {heading}\n(.*?)(?=^## |\Z)", PAGES[code], re.DOTALL | re.MULTILINE)
    assert section is not None
    fenced = re.search(r"^```hujson\n(.*?)^```", section[1], re.DOTALL | re.MULTILINE)
    return fenced and fenced[1]


def codes(text: str) -> set[str]:
    loaded = load(Source("page.hujson", text), domains=DOMAINS)
    return {found.code for found in loaded.diagnostics}


def failing_codes(text: str) -> set[str]:
    policy = load(Source("page.hujson", text), domains=DOMAINS).policy
    assert policy is not None
    report = run_tests(policy, TAILNET, policy.tests, policy.ssh_tests)
    return {found.code for found in report.diagnostics}


def test_pages_are_those_of_the_registry() -> None:
    assert set(PAGES) == set(RULES)


@pytest.mark.parametrize("code", RULES)
def test_page_is_headed_by_code_and_name(code: str) -> None:
    assert PAGES[code].splitlines()[0] == f"# {code} {RULES[code].name}"


@pytest.mark.parametrize("code", RULES)
def test_page_has_its_sections_in_order(code: str) -> None:
    headings = re.findall(r"^## (\w+)$", PAGES[code], re.MULTILINE)
    assert headings[:2] == ["Avoid", "Prefer"]
    assert headings[2:] in ([], ["Notes"])


@pytest.mark.parametrize("code", RULES)
def test_page_fits_a_terminal(code: str) -> None:
    lines = PAGES[code].splitlines()
    assert len(lines) <= 55
    assert max(map(len, lines)) <= 100


@pytest.mark.parametrize("code", BY_LOADING)
def test_what_to_avoid_gives_the_code_and_no_other(code: str) -> None:
    text = snippets(code).avoid
    assert text is not None
    assert codes(text) == {code}


@pytest.mark.parametrize("code", sorted(BY_TESTS))
def test_what_to_avoid_fails_its_tests_with_the_code(code: str) -> None:
    text = snippets(code).avoid
    assert text is not None
    assert codes(text) == set()
    assert failing_codes(text) == {code}


@pytest.mark.parametrize("code", BY_BYTES)
def test_bytes_that_fit_no_page_give_the_code(code: str) -> None:
    loaded = load(Source.from_bytes("page.hujson", BY_BYTES[code]))
    assert loaded.diagnostics[0].code == code


@pytest.mark.parametrize("code", [code for code in PAGES if snippets(code).prefer])
def test_what_to_prefer_is_clean(code: str) -> None:
    text = snippets(code).prefer
    assert text is not None
    assert codes(text) == set()


@pytest.mark.parametrize("code", sorted(BY_TESTS))
def test_what_to_prefer_passes_its_tests(code: str) -> None:
    text = snippets(code).prefer
    assert text is not None
    assert failing_codes(text) == set()


@pytest.mark.parametrize("code", [code for code in PAGES if snippets(code).prefer])
def test_what_to_prefer_is_formatted(code: str) -> None:
    text = snippets(code).prefer
    assert text is not None
    assert format_source(Source("page.hujson", text)) == text


def test_pages_without_an_example_to_prefer_are_about_the_tool() -> None:
    assert {code for code in PAGES if snippets(code).prefer is None} == {
        "POL505",
        "POL602",
        "POL901",
    }
