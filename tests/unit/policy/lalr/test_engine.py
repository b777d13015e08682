"""The automaton on a table small enough to follow: `list: ITEM | list COMMA ITEM`."""

from __future__ import annotations

import pytest

from policy.lalr.engine import END, Automaton, RefusedError, Table
from policy.lalr.scanner import Lexeme

TABLE = Table(
    productions=(("list", "first", 1), ("list", "next", 3)),
    states=({"ITEM": 1, "list": 2}, 0, {"COMMA": 3}, {"ITEM": 4}, 1),
    starts={"list": (0, 2)},
)


def first(parts: list[Lexeme]) -> list[str]:
    return [parts[0].text]


def following(parts: list[object]) -> object:
    items, _, item = parts
    assert isinstance(items, list)
    assert isinstance(item, Lexeme)
    return [*items, item.text]


def automaton() -> Automaton:
    return Automaton(TABLE, "list", [first, following])


def test_builds_values_bottom_up() -> None:
    parser = automaton()
    for lexeme in (Lexeme("ITEM", "a"), Lexeme("COMMA", ","), Lexeme("ITEM", "b")):
        parser.feed(lexeme)
    parser.feed(Lexeme(END, ""))
    assert parser.values == [["a", "b"]]
    assert parser.is_done


def test_refuses_what_cannot_stand_and_says_what_could() -> None:
    parser = automaton()
    parser.feed(Lexeme("ITEM", "a"))
    with pytest.raises(RefusedError) as refused:
        parser.feed(Lexeme("ITEM", "b"))
    assert refused.value.expected == {"COMMA"}
    assert refused.value.lexeme == Lexeme("ITEM", "b")


def test_stays_as_it_was_when_it_refuses() -> None:
    parser = automaton()
    parser.feed(Lexeme("ITEM", "a"))
    before = (list(parser.state_stack), list(parser.values))
    with pytest.raises(RefusedError):
        parser.feed(Lexeme("ITEM", "b"))
    assert (parser.state_stack, parser.values) == before


def test_refuses_an_early_end() -> None:
    parser = automaton()
    with pytest.raises(RefusedError):
        parser.feed(Lexeme(END, ""))
    assert not parser.is_done
