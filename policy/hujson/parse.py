"""HuJSON text to lossless tree."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from lark.exceptions import UnexpectedToken
from lark.parsers.lalr_parser_state import ParseConf, ParserState

from policy.hujson import grammar
from policy.hujson._tables import START
from policy.hujson.builder import Builder
from policy.hujson.lexer import Lexer
from policy.hujson.problems import MAX_PROBLEMS, ProblemKind, ProblemLog, SyntaxProblem
from policy.hujson.recover import Recovery
from policy.hujson.tree import Broken, Node
from policy.source import MAX_BYTES, Source, Span

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["MAX_BYTES", "MAX_PROBLEMS", "Parsed", "ProblemKind", "SyntaxProblem", "parse"]

_TABLE = grammar.load()
_PRODUCTIONS = grammar.productions(_TABLE)


class Parsed(NamedTuple):
    """What came of a text."""

    source: Source
    root: Node | None
    """The value of the text; None if nothing of one could be made out."""
    problems: tuple[SyntaxProblem, ...]
    """In source order, duplicate names after everything that breaks the grammar: the service gets
    to those only in a text that follows it. The first is the one that the service would report."""


def parse(source: Source) -> Parsed:
    """Parse `source`, whatever it holds; raises nothing on account of the text."""
    if source.size_exceeds(MAX_BYTES):
        message = f"text is larger than {MAX_BYTES // 2**20} MiB"
        return Parsed(source, None, (SyntaxProblem(message, Span(0, 0), ProblemKind.LIMIT),))
    log = ProblemLog()
    lexer = Lexer(source.text, log)
    builder = Builder(lexer, log)
    root = _run(lexer, builder, log)
    root.after = lexer.rest
    builder.duplicates.sort(key=lambda problem: problem.span)
    problems = (log.problems + builder.duplicates)[:MAX_PROBLEMS]
    return Parsed(source, None if isinstance(root, Broken) else root, tuple(problems))


def _run(lexer: Lexer, builder: Builder, log: ProblemLog) -> Node:
    conf = ParseConf(_TABLE, builder.callbacks(_PRODUCTIONS), START)
    # Lark's engine asks of a token no more than its type, and leaves the lexer alone.
    state: ParserState[int] = ParserState(conf, None)  # type: ignore[arg-type]
    feed: Callable[..., Any] = state.feed_token
    lexemes = lexer.lexemes()
    try:
        for lexeme in lexemes:
            feed(lexeme)
        root: Node = feed(lexer.end_mark(), True)  # noqa: FBT003  named `is_end` by Lark
    except UnexpectedToken as refused:
        return Recovery(lexer, log, state).resume(refused, lexemes)
    return root
