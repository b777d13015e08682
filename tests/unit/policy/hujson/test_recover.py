from __future__ import annotations

from typing import Any

import pytest

from policy.hujson.parse import parse
from policy.hujson.plain import to_python
from policy.hujson.tree import Array, Object
from policy.source import Source


def _read(text: str) -> tuple[list[str], Any]:
    """Return the text that each problem points at, and what is left of the value."""
    parsed = parse(Source("p", text))
    places = [text[slice(*problem.span)] for problem in parsed.problems]
    return places, None if parsed.root is None else to_python(parsed.root)


@pytest.mark.parametrize(
    ("text", "places", "value"),
    [
        # Something is missing.
        ('{"a": 1 "b": 2}', ['"'], {"a": 1, "b": 2}),
        ('["a" "b" "c"]', ['"'], ["a", "b", "c"]),
        ("[1 [2] {}]", ["[", "{"], [1, [2], {}]),
        ('{"a" 1, "b" {"c": 2}}', ["1", "{"], {"a": 1, "b": {"c": 2}}),
        ('{"a" "b": 1, "c": 2}', ['"'], {"a": "b", "c": 2}),
        ('{"a", "b": 1}', [","], {"a": None, "b": 1}),
        ('{"a"}', ["}"], {"a": None}),
        ('{"a":, "b": 1}', [","], {"a": None, "b": 1}),
        ('{"a":}', ["}"], {"a": None}),
        # A closing bracket is missing, or another one stands there.
        ('{"a": ["x", "b": [1]}', [":"], {"a": ["x"], "b": [1]}),
        ('[{"a": [1}, {"b": 2}]', ["}"], [{"a": [1]}, {"b": 2}]),
        ('{"a": [1, {"b": 2]}', ["]"], {"a": [1, {"b": 2}]}),
        ("[[1, 2}, 3]", ["}"], [[1, 2], 3]),
        ("[1, }, 2]", ["}"], [1, 2]),
        ("{ ]", ["]"], {}),
        # Something is too much.
        ("[1,,2]", [","], [1, 2]),
        ("[,,,1]", [","], [1]),
        ('{,"a": 1,,"b": 2}', [",", ","], {"a": 1, "b": 2}),
        ('{"a":: 1}', [":"], {"a": 1}),
        ("[: 1, : 2]", [":", ":"], [1, 2]),
        ('{"a": 1: 2, "b": 3}', [":"], {"a": 1, "b": 3}),
        ('{"a": 1 {"x": [2, 3]}, "b": 4}', ["{"], {"a": 1, "b": 4}),
        ('["a": 1, "b": 2]', [":"], ["a"]),
        ('{"a": 1} {"b": 2}', ["{"], {"a": 1}),
        ("]{}", ["]"], {}),
        # Something is malformed.
        ("[tru e 1, 2]", ["tru"], [None, 2]),
        ("[01, 2, 1., 3]", ["01", "1."], [None, 2, None, 3]),
        ('{a: 1, "b": 2}', ["a"], {"b": 2}),
        ("{a: b, c: d}", ["a", "b", "c", "d"], {}),
        ('{1: 2, "b" 3}', ["1", "3"], {"b": 3}),
        ('{1 2, "b": 3}', ["1"], {"b": 3}),
        ('{"a": "x\n, "b": y}', ['"x\n, "', "y"], {"a": None, "b": None}),
        ('{"a": "x\n"b": 1}', ['"x\n"'], {"a": None, "b": 1}),
        ('{"a": ["x, y]\n}', [""], {"a": [None]}),
        # Comments of another language.
        ('# it\'s "so"\n{"a": 1}', ["#"], {"a": 1}),
        ('{"a": 1, # no, "b": 2\n"c": 3}', ["#"], {"a": 1, "c": 3}),
        ("[1, # one\n2 # two\n]", ["#", "#"], [1, 2]),
        # The end is missing.
        ('{"a": [1, {"b"', [""], {"a": [1, {"b": None}]}),
        ('{"a": [1,', [""], {"a": [1]}),
        ("[[[", [""], [[[]]]),
        ("{} // c", [""], {}),
        ('{"a": // c', [""], {"a": None}),
        ("tru", ["tru"], None),
    ],
)
def test_reading_goes_on(text: str, places: list[str], value: Any) -> None:
    assert _read(text) == (places, value)


def test_problems_far_apart_are_all_reported() -> None:
    text = """\
{
  "acls": [
    {"action": "accept" "src": ["*"], "dst": ["*:*"]},
    {"action": accept, "src": ["*"], "dst": ["*:*"]},
    {"action": "accept", "src": ["*",, "x"], "dst": ["*:*"}
  ],
  groups: {"group:a": []},
}
"""
    source = Source("p", text)
    problems = parse(source).problems
    assert [source.position(problem.span.start).line for problem in problems] == [3, 4, 5, 5, 7]


@pytest.mark.parametrize("text", ['{"a": 1, b: 2}', '{"a": 1,, "b": 2}', '{"a": 1', '{"a": 1]'])
def test_object_that_may_lack_members_says_so(text: str) -> None:
    root = parse(Source("p", text)).root
    assert isinstance(root, Object)
    assert root.incomplete


def test_only_what_was_cut_into_is_incomplete() -> None:
    root = parse(Source("p", "[[1, 2], [3 : 4], [5]]")).root
    assert isinstance(root, Array)
    flags = [element.incomplete for element in root.elements if isinstance(element, Array)]
    assert flags == [False, True, False]
    assert not root.incomplete


def test_deep_text_without_end_is_closed() -> None:
    text = '{"a": [' * 4000
    parsed = parse(Source("p", text))
    assert [problem.message for problem in parsed.problems] == ["parsing value: unexpected EOF"]
    assert isinstance(parsed.root, Object)
    assert parsed.root.end == len(text)
