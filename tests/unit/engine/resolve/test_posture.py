"""Conditions on devices: policy reference 2.4."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.resolve.posture import compare_versions, passes, satisfies_any
from policy.model.definitions import PostureDefinition
from policy.model.postures import parse_posture_assertion
from policy.source import Span


def posture(*assertions: str) -> PostureDefinition:
    parsed = tuple(parse_posture_assertion(text) for text in assertions)
    return PostureDefinition("posture:x", parsed, None, Span(0, 0))


@pytest.mark.parametrize(
    ("assertion", "value", "expected"),
    [
        ("node:os == 'linux'", "linux", True),
        ("node:os == 'linux'", "macos", False),
        ("node:os != 'linux'", "macos", True),
        ("node:os IN ['linux', 'macos']", "macos", True),
        ("node:os NOT IN ['linux', 'macos']", "macos", False),
        ("node:os IS SET", "linux", True),
        ("node:os NOT SET", "linux", False),
        ("custom:score > 50", 50, False),
        ("custom:score >= 50", 50, True),
        ("custom:score < 50", 49.5, True),
        ("custom:score <= 50", 51, False),
        ("custom:score == 50", 50.0, True),
        ("custom:score > 50", "51", False),
        ("custom:on == true", True, True),
        ("custom:on == true", 1, False),
        ("node:osVersion >= '12.3'", "12.10", True),
        ("node:osVersion > '12'", "12.0", True),
        ("node:tsVersion < '1.80.0'", "1.79.9", True),
    ],
)
def test_an_assertion_compares_an_attribute(assertion: str, value: Any, expected: bool) -> None:
    name = assertion.split(maxsplit=1)[0]
    assert passes(posture(assertion), {name: value}) is expected


@pytest.mark.parametrize(
    "assertion",
    [
        "node:os == 'linux'",
        "node:os != 'linux'",
        "node:os IN ['linux']",
        "node:os NOT IN ['linux']",
        "node:osVersion < '12'",
        "node:os IS SET",
    ],
)
def test_what_is_not_set_fails_every_comparison(assertion: str) -> None:
    assert not passes(posture(assertion), {})


def test_only_not_set_holds_of_what_is_not_set() -> None:
    assert passes(posture("node:os NOT SET"), {})


def test_all_assertions_must_hold() -> None:
    both = posture("node:os == 'linux'", "custom:score > 1")
    assert passes(both, {"node:os": "linux", "custom:score": 2})
    assert not passes(both, {"node:os": "linux", "custom:score": 1})


def test_any_posture_of_several_suffices() -> None:
    defined = {"posture:a": posture("a:x == 1"), "posture:b": posture("a:x == 2")}
    assert satisfies_any(["posture:a", "posture:b"], defined, {"a:x": 2})
    assert not satisfies_any(["posture:a", "posture:none"], defined, {"a:x": 2})


@pytest.mark.parametrize(
    "ascending",
    [
        ("12", "12.0", "12.0.1", "12.3", "12.10", "13"),
        ("1.80.2", "1.80.10"),
        ("10.0a", "10.0b"),
        ("9", "10"),
    ],
)
def test_versions_ascend_by_number_and_length(ascending: tuple[str, ...]) -> None:
    for lower, upper in itertools.pairwise(ascending):
        assert (compare_versions(lower, upper), compare_versions(upper, lower)) == (-1, 1)


@given(st.text("0123456789.ab-", max_size=8), st.text("0123456789.ab-", max_size=8))
def test_comparison_is_antisymmetric(a: str, b: str) -> None:
    assert compare_versions(a, b) == -compare_versions(b, a)


def test_leading_zeros_of_a_field_do_not_count() -> None:
    assert compare_versions("12.03", "12.3") == 0
