"""Posture assertions."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.model.definitions import Assertion, Operator
from policy.model.ports import PolicyValueError
from policy.model.postures import parse_posture_assertion


@pytest.mark.parametrize(
    ("text", "assertion"),
    [
        ("node:os == 'linux'", Assertion("node:os", Operator.EQUAL, ("linux",))),
        ("node:os!='linux'", Assertion("node:os", Operator.NOT_EQUAL, ("linux",))),
        ("node:os IN ['ios', 'macos']", Assertion("node:os", Operator.IN, ("ios", "macos"))),
        ("ip:country NOT IN ['XX']", Assertion("ip:country", Operator.NOT_IN, ("XX",))),
        ("custom:team IS SET", Assertion("custom:team", Operator.IS_SET, ())),
        ("custom:team not set", Assertion("custom:team", Operator.NOT_SET, ())),
        (
            "node:tsVersion >= '1.40'",
            Assertion("node:tsVersion", Operator.GREATER_OR_EQUAL, ("1.40",)),
        ),
        ("falcon:ztaScore > 70", Assertion("falcon:ztaScore", Operator.GREATER, (70,))),
        ("custom:x <= -1.5", Assertion("custom:x", Operator.LESS_OR_EQUAL, (-1.5,))),
        ("custom:on == true", Assertion("custom:on", Operator.EQUAL, (True,))),
        ("custom:none IN []", Assertion("custom:none", Operator.IN, ())),
    ],
)
def test_reads(text: str, assertion: Assertion) -> None:
    assert parse_posture_assertion(text) == assertion


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "at its end"),
        ("node:os", "at its end"),
        ("os == 'linux'", "at \"os == 'linux'\""),
        ("node:os = 'linux'", "at \"= 'linux'\""),
        ('node:os == "linux"', 'at ""linux""'),
        ("node:os == 'linux' or", 'at "or"'),
        ("node:os < 'linux'", "only versions and numbers are ordered"),
        ("custom:on >= true", "only versions and numbers are ordered"),
    ],
)
def test_refuses_and_says_where(text: str, part: str) -> None:
    with pytest.raises(PolicyValueError, match=r"assertion|ordered") as refused:
        parse_posture_assertion(text)
    assert part in str(refused.value)


@given(st.text(max_size=30))
def test_any_text_is_an_assertion_or_refused(text: str) -> None:
    try:
        assert parse_posture_assertion(text).attribute in text
    except PolicyValueError as refused:
        assert text in str(refused)
