"""The grammar says the same to Lark itself as it does through the table kept of it."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from lark import Lark, Token, Tree, UnexpectedInput

from policy.hujson._hujson_tables import TABLE
from policy.hujson.lexer import Lexer
from policy.hujson.problems import ProblemLog
from policy.lalr.engine import Automaton, RefusedError
from policy.lalr.generate import GRAMMARS
from tests.support.hujson_texts import ANY_TEXTS, MANY

_GRAMMAR = next(grammar for grammar in GRAMMARS if grammar.path.stem == "hujson")
_LARK = Lark(_GRAMMAR.path.read_text("utf-8"), parser="lalr", keep_all_tokens=True)


def _by_lark(kinds: list[str]) -> Any:
    """Return the derivation, or how many lexemes were taken before one was refused."""
    parser = _LARK.parse_interactive()
    for count, kind in enumerate(kinds):
        try:
            parser.feed_token(Token(kind, kind))
        except UnexpectedInput:
            return count
    try:
        return _derivation(parser.feed_token(Token("$END", "")))
    except UnexpectedInput:
        return len(kinds)


def _derivation(part: Any) -> Any:
    if isinstance(part, Tree):
        return (str(part.data), [_derivation(child) for child in part.children])
    return part.type


def _by_us(kinds: list[str]) -> Any:
    def building(name: str) -> Any:
        return lambda parts: (name, [getattr(part, "type", part) for part in parts])

    automaton = Automaton(TABLE, "start", [building(name) for _, name, _ in TABLE.productions])
    for count, kind in enumerate([*kinds, "$END"]):
        try:
            automaton.feed(Token(kind, kind))
        except RefusedError:
            return count
    return automaton.values[-1]


@given(ANY_TEXTS)
@MANY
def test_same_derivation_or_same_refusal(text: str) -> None:
    kinds = [lexeme.type for lexeme in Lexer(text, ProblemLog()).lexemes()]
    assert _by_us(kinds) == _by_lark(kinds)
