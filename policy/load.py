"""The one way into the language: text in, a typed policy and diagnostics out."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from policy.diagnostics.diagnostic import Collector, Diagnostic, Related
from policy.hujson.parse import ProblemKind, parse
from policy.lower.document import lower_document

if TYPE_CHECKING:
    from policy.hujson.parse import Parsed, SyntaxProblem
    from policy.hujson.tree import Node
    from policy.model.document import Policy
    from policy.source import Source

__all__ = ["Loaded", "load", "report_syntax"]


class Loaded(NamedTuple):
    """What became of a text."""

    policy: Policy | None
    """The policy, or None where any diagnostic is an error."""
    diagnostics: tuple[Diagnostic, ...]
    """Every finding; the first error is the one that the service would answer with."""
    root: Node | None
    """The lossless tree, broken places included; None where nothing could be read."""


def load(source: Source, *, domains: frozenset[str] | None = None) -> Loaded:
    """Parse, lower and check a policy. Any text gives a policy or diagnostics, never an exception.

    `domains` are the mail domains associated with the tailnet, as an inventory tells; without it
    they are taken on trust (policy reference 2.4).
    """
    parsed = parse(source)
    found = Collector(source)
    report_syntax(parsed, found)
    policy = None
    if parsed.root is not None:
        policy = lower_document(parsed.root, found, domains)
    diagnostics = tuple(found)
    return Loaded(None if found.has_errors else policy, diagnostics, parsed.root)


def report_syntax(parsed: Parsed, found: Collector) -> None:
    """Add what the parser found, in the words of the service (policy reference 1.2)."""
    for problem in parsed.problems:
        message = problem.message
        if problem.kind in (ProblemKind.SYNTAX, ProblemKind.ENCODING):
            place = parsed.source.position(problem.span.start)
            # The service counts columns in bytes.
            message = f"line {place.line}, column {place.byte_column}: {message}"
        found.shape(
            _syntax_code(problem),
            message,
            problem.span,
            related=tuple(Related(words, span) for words, span in problem.related),
        )


def _syntax_code(problem: SyntaxProblem) -> str:
    match problem.kind:
        case ProblemKind.ENCODING:
            return "POL104"
        case ProblemKind.DUPLICATE_NAME:
            return "POL105"
        case ProblemKind.TOO_LARGE:
            return "POL107"
        case ProblemKind.TOO_DEEP:
            return "POL106"
        case _ if problem.message.endswith("unexpected EOF"):
            return "POL102"
        case _:
            return "POL103" if problem.message.startswith("invalid literal") else "POL101"
