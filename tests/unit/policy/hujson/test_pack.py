from __future__ import annotations

import pytest

from policy.hujson.pack import pack
from policy.hujson.parse import parse
from policy.hujson.tree import Array, Broken, Literal, Member, Number, Object, String
from policy.source import Source


@pytest.mark.parametrize(
    "text",
    [
        "1",
        " [ ] ",
        "{ /* a */ }\n",
        '/*a*/{/*b*/"n"/*c*/:/*d*/[1/*e*/,/*f*/true/*g*/,/*h*/]/*i*/,"m":[[],{}]/*j*/}/*k*/',
        '\r\n[\t"\\u00e9\\/", -0.0E+1 ,\n\n// c\n null\r]//\n',
    ],
)
def test_text_comes_back(text: str) -> None:
    parsed = parse(Source("p", text))
    assert pack(parsed) == text
    assert parsed.root is not None
    assert pack(parsed.root) == text


def test_deep_tree_is_packed() -> None:
    text = '[{"a":' * 5000 + "1" + "}]" * 5000
    assert pack(parse(Source("p", text))) == text


def test_part_of_a_tree_is_packed_with_its_extras() -> None:
    root = parse(Source("p", '{"a": /* b */ [1] }')).root
    assert isinstance(root, Object)
    assert pack(root.members[0].value) == " /* b */ [1] "


def test_tree_made_by_hand_is_packed() -> None:
    array = Array([Number("1", 0, 0), Literal(None, 0, 0, before=" ")], 0, 0, trailing_comma=True)
    members = [Member(String('"a"', 0, 0), array), Member(String('"b"', 0, 0), Broken("?", 0, 0))]
    assert pack(Object(members, 0, 0, tail="", after="\n")) == '{"a":[1, null,],"b":?}\n'


def test_repairs_show_in_what_is_packed() -> None:
    assert pack(parse(Source("p", '{"a" 1 "b": 2'))) == '{"a": 1, "b": 2}'


def test_text_without_a_value_is_packed_as_nothing() -> None:
    assert pack(parse(Source("p", "@"))) == ""
