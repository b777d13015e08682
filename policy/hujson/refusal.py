"""What the parser was waiting for when it refused a lexeme, and how the service puts that."""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING

from policy.hujson.lexer import END, Bad, BadKind, Lexeme, Lexer
from policy.hujson.problems import UNEXPECTED_EOF, invalid_character, invalid_literal
from policy.hujson.tree import Broken, Node
from policy.source import Span

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

    from policy.hujson.problems import ProblemLog


class Awaiting(Enum):
    """What can come next, of all that the grammar has."""

    ROOT = auto()
    """The value of the whole text."""
    VALUE = auto()
    """The value of a member."""
    ELEMENT = auto()
    """An element or `]`."""
    NAME = auto()
    """A name or `}`."""
    COLON = auto()
    MEMBER_END = auto()
    """`,` or `}`."""
    ELEMENT_END = auto()
    """`,` or `]`."""
    TEXT_END = auto()


_VALUES = {Awaiting.ROOT, Awaiting.VALUE, Awaiting.ELEMENT, Awaiting.NAME}

# The service reads a name like any value and looks at what it got only afterwards: so what cannot
# start a name is refused "at start of value", and an end in its place interrupts a value.
_PLACES = dict.fromkeys(_VALUES, "at start of value") | {
    Awaiting.COLON: "after object name",
    Awaiting.MEMBER_END: "after object value (expecting ',' or '}')",
    Awaiting.ELEMENT_END: "after array value (expecting ',' or ']')",
    Awaiting.TEXT_END: "after top-level value",
}
_INTERRUPTED = dict.fromkeys(_VALUES, "parsing value") | {
    Awaiting.COLON: "parsing object after name",
    Awaiting.MEMBER_END: "parsing object after value",
    Awaiting.ELEMENT_END: "parsing array after value",
}


def awaiting(expected: AbstractSet[str], *, is_nested: bool) -> Awaiting:
    """Tell from the terminals that a state accepts what it stands for.

    `is_nested` says whether anything comes before in the text.
    """
    if "SCALAR" in expected:
        if "RBRACE" in expected:
            return Awaiting.NAME
        if "RSQB" in expected:
            return Awaiting.ELEMENT
        return Awaiting.VALUE if is_nested else Awaiting.ROOT
    if "COLON" in expected:
        return Awaiting.COLON
    if "RBRACE" in expected:
        return Awaiting.MEMBER_END
    return Awaiting.ELEMENT_END if "RSQB" in expected else Awaiting.TEXT_END


def report(
    log: ProblemLog,
    lexer: Lexer,
    refused: Lexeme,
    instead_of: Awaiting,
    opened: tuple[tuple[str, Span], ...],
) -> None:
    """Report that `refused` cannot stand where it does; `opened` tells of the open bracket."""
    start = refused.start
    if refused.type == END:
        log.report(f"{_INTERRUPTED[instead_of]}: {UNEXPECTED_EOF}", start, start, related=opened)
    elif (
        isinstance(refused, Bad) and refused.kind is not BadKind.CHARACTER and instead_of in _VALUES
    ):
        _report_malformed(log, lexer, refused)
    else:
        message = invalid_character(lexer.text[start], _PLACES[instead_of])
        related = opened if refused.type in {"RBRACE", "RSQB"} else ()
        log.report(message, start, start + 1, related=related)


def _report_malformed(log: ProblemLog, lexer: Lexer, refused: Bad) -> None:
    start, end = refused.start, refused.end
    if refused.kind is BadKind.STRING:
        end = lexer.end_of_string(start)
    if end >= 0:
        log.report(invalid_literal(lexer.text[start:end]), start, end)
        return
    end = len(lexer.text)
    related = (("the string starts here", Span(start, start + 1)),)
    log.report(f"parsing string: {UNEXPECTED_EOF}", end, end, related=related)
    # All the rest is in the string: nothing in it would end it.
    log.gave_up = True


def report_misnamed(log: ProblemLog, lexer: Lexer, value: Node) -> None:
    """Report that `value` stands where a name should, unless something in it was reported."""
    is_news = not (log.quiet or log.gave_up or isinstance(value, Broken))
    if is_news and not (log.problems and log.problems[-1].span.start >= value.start):
        message = invalid_character(lexer.text[value.start], "at start of object name")
        log.report(message, value.start, value.end)
