from __future__ import annotations

import re
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from policy.hujson.format import format_source
from policy.hujson.layout import MAX_WIDTH
from policy.hujson.parse import parse
from policy.hujson.plain import to_python
from policy.source import Source
from tests.support.hujson_texts import (
    BLANKS,
    MANY,
    STANDARD_TEXTS,
    TEXTS,
    UNHURRIED,
    VALUES,
    spellings,
)

_COMMENT = re.compile(r'"(?:\\.|[^"\\])*"|(//[^\n]*|/\*[\s\S]*?\*/)')

_SPACES = st.text(" \t", max_size=2)


def _format(text: str) -> str:
    return format_source(Source("p", text))


def _value(text: str) -> Any:
    root = parse(Source("p", text)).root
    assert root is not None
    return to_python(root)


def _comments(text: str) -> list[str]:
    found = (match.group(1) for match in _COMMENT.finditer(text))
    return ["".join(comment.split()) for comment in found if comment]


@given(TEXTS)
@MANY
def test_formatting_twice_changes_nothing_more(text: str) -> None:
    once = _format(text)
    assert _format(once) == once


@given(TEXTS)
@UNHURRIED
def test_value_is_kept(text: str) -> None:
    assert _value(_format(text)) == _value(text)


@given(TEXTS)
@UNHURRIED
def test_comments_are_kept_in_order(text: str) -> None:
    assert _comments(_format(text)) == _comments(text)


@given(STANDARD_TEXTS)
@UNHURRIED
def test_standard_json_stays_standard(text: str) -> None:
    formatted = _format(text)
    assert parse(Source("p", formatted)).problems == ()
    assert _comments(formatted) == []
    assert not re.search(r",\s*[\]}]", re.sub(r'"(?:\\.|[^"\\])*"', '""', formatted))


@given(TEXTS)
@UNHURRIED
def test_text_ends_with_one_line_feed_and_starts_with_no_blank(text: str) -> None:
    formatted = _format(text)
    assert formatted.endswith("\n")
    assert not formatted.endswith("\n\n")
    assert formatted[0] not in " \t\r\n"


@given(VALUES.flatmap(lambda value: spellings(value, BLANKS)))
@UNHURRIED
def test_without_comments_no_line_ends_in_a_blank_and_no_two_are_empty(text: str) -> None:
    formatted = _format(text)
    assert not re.search(r"[ \t]\n", formatted)
    assert "\n\n\n" not in formatted


@given(VALUES.flatmap(lambda value: st.tuples(*[spellings(value, _SPACES, trailing=False)] * 2)))
@UNHURRIED
def test_layout_does_not_depend_on_spaces(texts: tuple[str, str]) -> None:
    first, second = texts
    assert _format(first) == _format(second)


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=30))
@UNHURRIED
def test_array_is_on_one_line_exactly_if_it_is_estimated_to_fit(numbers: list[int]) -> None:
    # Every element counts with the separator that follows it, the last one too.
    estimate = 2 + sum(len(str(number)) + 2 for number in numbers)
    assert ("\n" in _format(str(numbers)).strip()) == (estimate > MAX_WIDTH)
