"""What holds of every diagnostic code."""

from __future__ import annotations

import re

import pytest

from policy.diagnostics.diagnostic import Severity
from policy.diagnostics.registry import RULES

FAMILIES = "1234569"


def test_codes_are_in_order() -> None:
    assert list(RULES) == sorted(RULES)


def test_names_are_unique() -> None:
    names = [rule.name for rule in RULES.values()]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("code", RULES)
def test_code_belongs_to_a_family(code: str) -> None:
    assert re.fullmatch(rf"POL[{FAMILIES}]\d\d", code)


@pytest.mark.parametrize("code", RULES)
def test_rule_knows_its_own_code(code: str) -> None:
    assert RULES[code].code == code


@pytest.mark.parametrize("code", RULES)
def test_name_is_words_and_dashes(code: str) -> None:
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", RULES[code].name)


@pytest.mark.parametrize("code", RULES)
def test_severity_is_one_of_the_three(code: str) -> None:
    assert Severity(RULES[code].severity).value == RULES[code].severity


@pytest.mark.parametrize("code", RULES)
def test_summary_is_one_sentence_that_fits_a_table(code: str) -> None:
    summary = RULES[code].summary
    assert re.fullmatch(r"[A-Z`a-z].*\.", summary)
    assert len(summary) <= 90
