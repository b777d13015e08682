"""Our automaton and Lark's own parser take the same texts and build the same from them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from lark import Token, Tree, UnexpectedInput

from policy.lalr.generate import GRAMMARS
from policy.lalr.scanner import Grammar, Lexeme, UnexpectedTextError
from policy.model._terms_tables import PATTERNS, TABLE

TERMS = next(grammar for grammar in GRAMMARS if grammar.path.stem == "terms")
LARK = TERMS.lark()


def tree_maker(name: str) -> Any:
    return lambda parts: (name, parts)


OURS = Grammar(TABLE, PATTERNS, {name: tree_maker(name) for _, name, _ in TABLE.productions})

PIECES = st.sampled_from(
    [
        "*",
        "tag:web",
        "group:",
        "autogroup:self",
        "user:*@",
        "a@b.test",
        "10.0.0.0/8",
        "fd7a::1",
        "tcp",
        "udp:",
        "22",
        "0",
        "65535",
        "-",
        ",",
        ":",
        " ",
        "\t",
        "\n",
        "x",
        "ipset:",
        "svc:a",
    ]
)
TEXTS = st.one_of(st.lists(PIECES, max_size=6).map("".join), st.text(max_size=12))


def plain(value: Any) -> Any:
    match value:
        case Lexeme():
            return (value.type, value.text)
        case Token():
            return (value.type, str(value))
        case Tree():
            return (str(value.data), [plain(child) for child in value.children])
        case (name, parts):
            return (name, [plain(part) for part in parts])
    raise TypeError(value)


def by_lark(start: str, text: str) -> Any:
    try:
        return plain(LARK.parse(text, start=start))
    except UnexpectedInput:
        return None


def by_us(start: str, text: str) -> Any:
    try:
        return plain(OURS.parse(start, text))
    except UnexpectedTextError:
        return None


@pytest.mark.parametrize("start", TERMS.starts)
@given(text=TEXTS)
@example(text="*")
@example(text="22,80-90")
@example(text="tcp:443")
@example(text="6:1-2")
@example(text="*,1")
def test_same_answer_as_lark(start: str, text: str) -> None:
    assert by_us(start, text) == by_lark(start, text)
