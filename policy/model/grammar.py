"""The grammars of what stands inside policy strings, with what is made of each production."""

from __future__ import annotations

from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

from policy.lalr.engine import END
from policy.lalr.scanner import Grammar, UnexpectedTextError
from policy.model._terms_tables import PATTERNS, TABLE

if TYPE_CHECKING:
    from lark import Lark, Token, Tree

    from policy.lalr.scanner import Lexeme

__all__ = ["PortsSpec", "UnexpectedTextError", "parse_assertion", "parse_term", "parse_token"]

PortsSpec = tuple[str, str] | None
"""First and last port as written; None for `*`."""


def _only(parts: list[Any]) -> Any:
    return parts[0]


_TERMS = Grammar(
    TABLE,
    PATTERNS,
    {
        "token": _only,
        "any_port": lambda _: [None],
        "one_range": lambda parts: [parts[0]],
        "more_ranges": lambda parts: [*parts[0], parts[2]],
        "one_port": lambda parts: (parts[0].text, parts[0].text),
        "ports_between": lambda parts: (parts[0].text, parts[2].text),
        "any_ip": lambda _: (None, None),
        "ip_range": lambda parts: (None, parts[0]),
        "any_of_protocol": lambda parts: (parts[0].text, None),
        "range_of_protocol": lambda parts: (parts[0].text, parts[2]),
    },
)


@lru_cache(maxsize=1 << 16)
def parse_token(start: str, text: str) -> Lexeme:
    """Parse `text` with a start symbol of one terminal. Raises UnexpectedTextError."""
    lexeme: Lexeme = _TERMS.parse(start, text)
    return lexeme


def parse_term(start: str, text: str) -> Any:
    """Parse `ports` (a list of PortsSpec) or `grant_ip` (protocol or None, PortsSpec).

    Raises UnexpectedTextError where the text is neither.
    """
    return _TERMS.parse(start, text)


@cache
def _posture_parser() -> Lark:
    # Few policies have postures; the others do without Lark and start the faster.
    from pathlib import Path  # noqa: PLC0415

    from lark import Lark  # noqa: PLC0415

    grammar = Path(__file__).with_name("posture.lark").read_text(encoding="utf-8")
    return Lark(grammar, parser="lalr", maybe_placeholders=False)


def parse_assertion(text: str) -> Tree[Token]:
    """Parse a posture assertion. Raises UnexpectedTextError."""
    from lark import UnexpectedInput  # noqa: PLC0415

    try:
        return _posture_parser().parse(text)
    except UnexpectedInput as error:
        ended = getattr(getattr(error, "token", None), "type", None) == END
        at = len(text) if ended else error.pos_in_stream
        raise UnexpectedTextError(text, len(text) if at is None else at) from None
