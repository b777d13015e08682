from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from policy.hujson.parse import parse
from policy.hujson.standard import minimize, standardize
from policy.source import Source

if TYPE_CHECKING:
    from policy.hujson.tree import Node


def _root(text: str) -> Node:
    root = parse(Source("p", text)).root
    assert root is not None
    return root


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("[1, 2]", "[1, 2]"),
        ("[1,]", "[1 ]"),
        ('{"a": 1 , }', '{"a": 1   }'),
        ("[1, // c\n2]", "[1,     \n2]"),
        ("// c\r\n1", "     \n1"),
        ("/* a\n\tb */1", "    \n     1"),
        ("/*é*/ 1", "       1"),
        ("\t/* */\r\n1", "\t     \r\n1"),
        ('["// no", "/* no */"]', '["// no", "/* no */"]'),
        ("[1, /* a */ /* b */]", "[1" + " " * 17 + "]"),
    ],
)
def test_comments_and_trailing_commas_become_spaces(text: str, wanted: str) -> None:
    assert standardize(_root(text)) == wanted


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (" [ 1 , 2 ] ", "[1,2]"),
        ("[1,]", "[1]"),
        ('{ "a b" : 1.0 , // c\n "\\u0061": [ ] }', '{"a b":1.0,"\\u0061":[]}'),
        ("/* a */ null // b\n", "null"),
    ],
)
def test_only_tokens_are_left(text: str, wanted: str) -> None:
    assert minimize(_root(text)) == wanted


def test_deep_trees_are_no_matter() -> None:
    text = "[" * 10_000 + "]" * 10_000
    assert standardize(_root(text)) == minimize(_root(text)) == text
