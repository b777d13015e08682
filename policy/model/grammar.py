"""The Lark grammars of what stands inside policy strings, built when first needed."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from lark import Lark, Token, Tree, UnexpectedInput

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["UnexpectedInput", "parse_assertion", "parse_term", "parse_token"]

_STARTS = {"terms": ("selector", "ports", "grant_ip"), "posture": ("start",)}


@cache
def _parser(grammar: str) -> Lark:
    return Lark(
        (Path(__file__).parent / f"{grammar}.lark").read_text(encoding="utf-8"),
        start=list(_STARTS[grammar]),
        parser="lalr",
        maybe_placeholders=False,
    )


@cache
def parse_token(start: str, text: str) -> tuple[str, str]:
    """Parse `text` with a start symbol of one terminal; return the terminal's name and value."""
    token = _parser("terms").parse(text, start=start)
    if not isinstance(token, Token):
        raise TypeError(f"{start} is not a single terminal")
    return token.type, str(token)


def parse_term(start: str, text: str) -> Tree[Token]:
    """Parse ports or a grant's ip entry. Raises UnexpectedInput where the text is neither."""
    return _tree(_parser("terms").parse(text, start=start))


def parse_assertion(text: str) -> Tree[Token]:
    """Parse a posture assertion. Raises UnexpectedInput."""
    return _tree(_parser("posture").parse(text))


def _tree(parsed: Tree[Token] | Sequence[object]) -> Tree[Token]:
    if not isinstance(parsed, Tree):
        raise TypeError("the grammar gave no tree")
    return parsed
