from __future__ import annotations

from typing import Any

import pytest

from policy.hujson.parse import parse
from policy.hujson.plain import to_python
from policy.source import Source


def _value(text: str) -> Any:
    root = parse(Source("p", text)).root
    assert root is not None
    return to_python(root)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("null", None),
        ("[true, false]", [True, False]),
        ("[1, 2.5, -0]", [1, 2.5, 0]),
        (r'"a\n"', "a\n"),
        ('{"a": {"b": [{}, []]}, "c": "d"} // e\n', {"a": {"b": [{}, []]}, "c": "d"}),
        ('{"a": 1, "a": 2}', {"a": 2}),
        ('{"a": {"x": 1}, "a": {"y": 2}}', {"a": {"y": 2}}),
    ],
)
def test_value_is_that_of_json(text: str, wanted: Any) -> None:
    assert _value(text) == wanted


def test_names_keep_their_order() -> None:
    assert list(_value('{"b": 1, "a": 2, "c": 3}')) == ["b", "a", "c"]


def test_broken_places_are_none() -> None:
    assert _value("[1, tru, 2]") == [1, None, 2]


def test_depth_costs_no_stack() -> None:
    value = _value("[" * 10_000 + "]" * 10_000)
    depth = 0
    while value:
        value = value[0]
        depth += 1
    assert depth == 9_999
