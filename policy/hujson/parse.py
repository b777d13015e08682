"""HuJSON text to lossless tree."""

from __future__ import annotations

from typing import NamedTuple

from policy.hujson._hujson_tables import TABLE
from policy.hujson.builder import Builder
from policy.hujson.lexer import Lexer
from policy.hujson.problems import MAX_PROBLEMS, ProblemKind, ProblemLog, SyntaxProblem
from policy.hujson.recover import Recovery
from policy.hujson.tree import Broken, Node
from policy.lalr.engine import Automaton, RefusedError
from policy.source import MAX_BYTES, Source, Span

__all__ = ["MAX_BYTES", "MAX_PROBLEMS", "Parsed", "ProblemKind", "SyntaxProblem", "parse"]


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
        return Parsed(source, None, (SyntaxProblem(message, Span(0, 0), ProblemKind.TOO_LARGE),))
    log = ProblemLog()
    lexer = Lexer(source.text, log)
    builder = Builder(lexer, log)
    root = _run(lexer, builder, log)
    root.after = lexer.rest
    builder.duplicates.sort(key=lambda problem: problem.span)
    problems = (log.problems + builder.duplicates)[:MAX_PROBLEMS]
    return Parsed(source, None if isinstance(root, Broken) else root, tuple(problems))


def _run(lexer: Lexer, builder: Builder, log: ProblemLog) -> Node:
    automaton = Automaton(TABLE, "start", builder.callbacks(TABLE))
    feed = automaton.feed
    lexemes = lexer.lexemes()
    try:
        for lexeme in lexemes:
            feed(lexeme)
        feed(lexer.end_mark())
    except RefusedError as refused:
        Recovery(lexer, log, automaton).resume(refused, lexemes)
    root: Node = automaton.values[-1]
    return root
