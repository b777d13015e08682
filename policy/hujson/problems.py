"""What can be wrong with a HuJSON text, in the words of the service (policy reference 1.2)."""

from __future__ import annotations

import re
from enum import Enum
from typing import NamedTuple

from policy.source import Span

MAX_PROBLEMS = 50
"""How many problems are reported of one text; reading stops there."""

UNEXPECTED_EOF = "unexpected EOF"

_ESCAPED = {
    "\a": r"\a",
    "\b": r"\b",
    "\f": r"\f",
    "\n": r"\n",
    "\r": r"\r",
    "\t": r"\t",
    "\v": r"\v",
    "\\": r"\\",
    "'": r"\'",
}


class ProblemKind(Enum):
    """Families of syntax problems, for whoever gives them codes."""

    SYNTAX = "syntax"
    """The text does not follow the grammar."""
    ENCODING = "encoding"
    """A comment is not UTF-8. (Elsewhere such bytes break the grammar as well.)"""
    DUPLICATE_NAME = "duplicate-name"
    """A name occurs twice in one object."""
    TOO_LARGE = "too-large"
    """The text is larger than we read."""
    TOO_DEEP = "too-deep"
    """Brackets are nested deeper than we read."""


class SyntaxProblem(NamedTuple):
    """One problem.

    `message` is the service's own text without the place in front of it. It is a single string to
    be compared, not laid out: where it quotes a string that runs over several lines, so does it.
    """

    message: str
    span: Span
    kind: ProblemKind
    related: tuple[tuple[str, Span], ...] = ()
    """Other places that matter, each with a few words on why."""


class ProblemLog:
    """The problems of one text in the order in which they were found, bounded in number."""

    def __init__(self) -> None:
        self.problems: list[SyntaxProblem] = []
        self.quiet = False
        """Whether the parser is still finding its feet after a problem; see `recover`."""
        self.gave_up = False
        """Whether reading stopped short, so that a missing rest is no news."""

    def report(
        self,
        message: str,
        start: int,
        end: int,
        kind: ProblemKind = ProblemKind.SYNTAX,
        related: tuple[tuple[str, Span], ...] = (),
    ) -> None:
        """Note a problem, unless there are enough of them already."""
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(SyntaxProblem(message, Span(start, end), kind, related))
        if len(self.problems) >= MAX_PROBLEMS:
            self.gave_up = True


def quoted(char: str) -> str:
    r"""Quote a character as the service does: `'x'`, `'\n'`, `'\u00a0'`, `'\xff'` for a byte."""
    code = ord(char)
    if char in _ESCAPED:
        shown = _ESCAPED[char]
    elif char.isprintable():
        shown = char
    elif 0xDC80 <= code <= 0xDCFF:
        shown = f"\\x{code - 0xDC00:02x}"
    elif code < 0x20 or code == 0x7F:
        shown = f"\\x{code:02x}"
    elif code <= 0xFFFF:
        shown = f"\\u{code:04x}"
    else:
        shown = f"\\U{code:08x}"
    return f"'{shown}'"


def invalid_character(char: str, where: str) -> str:
    """Return the message about a character that cannot stand `where` it does."""
    return f"invalid character {quoted(char)} {where}"


def invalid_literal(raw: str) -> str:
    """Return the message about a malformed word, number or string, shown whole."""
    return f"invalid literal: {_encodable(raw)}"


def _encodable(text: str) -> str:
    """Put U+FFFD for what is not UTF-8, so that the text can be printed and sent anywhere."""
    return text if text.isascii() else re.sub("[\ud800-\udfff]", "\ufffd", text)
