"""From HuJSON text to lexemes, each with the extra (whitespace and comments) in front of it.

Strings, numbers and literals come out as the tree's own nodes, so that nothing is made twice.
Whatever cannot be a lexeme comes out as `Bad`; what it means depends on where the parser is.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import TYPE_CHECKING, TypeAlias

from policy.hujson.problems import UNEXPECTED_EOF, ProblemKind, ProblemLog
from policy.hujson.tree import Broken, Literal, Number, String
from policy.source import Span

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_DEPTH = 10_000
"""How deep objects and arrays may nest in one another."""

END = "$END"
BAD = "BAD"
"""Type of a lexeme that is no terminal of the grammar: the parser refuses it everywhere."""

_PUNCTUATION = {
    "{": "LBRACE",
    "}": "RBRACE",
    "[": "LSQB",
    "]": "RSQB",
    ":": "COLON",
    ",": "COMMA",
}
_LITERALS = {"true": True, "false": False, "null": None}

# Matches everywhere, if only nothing: a search never runs ahead of the place it starts from.
# Comments are matched one at a time, because a repeated group would keep a way back for each.
_LEXEME = re.compile(
    r'[ \t\r\n]*+(?:([{}\[\],:])|("[^"\\\x00-\x1f]*+")|([-+.0-9A-Za-z]++)'
    r'|(//[^\n]*+\n)|(/\*)|("))?'
)
_MARK, _STRING, _WORD, _LINE_COMMENT, _BLOCK_COMMENT, _QUOTE = range(1, 7)

_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?(?:[eE][+-]?[0-9]++)?")

# The rest is seldom needed and compiled when it is.
_SURROGATES = "\ud800-\udfff"
_IN_STRING = r'(?:[^"\\]++|\\[\s\S]){1,1000}'
_IN_LINE_OF_STRING = r'(?:[^"\\\n]++|\\[^\n]){1,1000}'
_BAD_IN_STRING = rf'[\x00-\x1f{_SURROGATES}]|\\(?!["\\/bfnrt]|u[0-9A-Fa-f]{{4}})'
"""To be searched once pairs of backslashes are out of the way."""


class Mark:
    """A bracket, comma or colon, or the end of the text."""

    __slots__ = ("before", "end", "incomplete", "start", "type")

    def __init__(self, kind: str, before: str, start: int, end: int) -> None:
        self.type = kind
        self.before = before
        self.start = start
        self.end = end
        self.incomplete = False


class BadKind(Enum):
    """What a `Bad` lexeme looks like."""

    CHARACTER = "character"
    WORD = "word"
    STRING = "string"


class Bad:
    """A piece of text that is no lexeme: a stray character, or a malformed word or string.

    A malformed string ends with its line here, whatever the grammar makes of it: a quote missing
    on one line would otherwise turn the rest of the text inside out.
    """

    __slots__ = ("before", "end", "kind", "start")

    type = BAD

    def __init__(self, kind: BadKind, before: str, start: int, end: int) -> None:
        self.kind = kind
        self.before = before
        self.start = start
        self.end = end


Lexeme: TypeAlias = Mark | String | Number | Literal | Broken | Bad


class Lexer:
    """Cuts one text into lexemes and reports what is wrong with its comments and its depth."""

    def __init__(self, text: str, log: ProblemLog) -> None:
        self.text = text
        self.depth = 0
        """Objects and arrays open at this point; whoever sees them close counts them down."""
        self.rest = ""
        """Extra between the last lexeme and the end of the text, once all lexemes are out."""
        self._log = log
        self._pattern = _LEXEME
        self._is_utf8 = text.isascii() or re.search(f"[{_SURROGATES}]", text) is None
        if not self._is_utf8:
            self._pattern = re.compile(_LEXEME.pattern.replace(r"\x1f", r"\x1f" + _SURROGATES))

    def end_mark(self) -> Mark:
        """Return the mark that stands for the end of the text."""
        return Mark(END, self.rest, len(self.text), len(self.text))

    def lexemes(self) -> Iterator[Lexeme]:
        """Yield every lexeme up to the end of the text, or to where there is no going on."""
        text = self.text
        extra = at = 0  # where the extra before the next lexeme starts, and where to read on
        while True:
            group = None
            for found in self._pattern.finditer(text, at):
                group = found.lastindex
                if group == _MARK:
                    start = found.start(_MARK)
                    char = text[start]
                    if char in "{[":
                        self.depth += 1
                        if self.depth > MAX_DEPTH:
                            self._refuse_depth(start)
                            return
                    yield Mark(_PUNCTUATION[char], text[extra:start], start, start + 1)
                    extra = start + 1
                elif group == _STRING:
                    start, end = found.span(_STRING)
                    yield String(text[start:end], start, end, text[extra:start])
                    extra = end
                elif group == _WORD:
                    start, end = found.span(_WORD)
                    yield _word(text[start:end], start, end, text[extra:start])
                    extra = end
                elif group == _LINE_COMMENT:
                    self._check_comment(*found.span(_LINE_COMMENT))
                else:
                    at = found.end()
                    break
            if group == _BLOCK_COMMENT:
                start = at - 2
                at = text.find("*/", at) + 2
                if at < 2:
                    self._refuse_comment(start, extra)
                    return
                self._check_comment(start, at)
            elif group == _QUOTE:
                lexeme = self._difficult_string(at - 1, text[extra : at - 1])
                yield lexeme
                extra = at = lexeme.end
            elif at == len(text):
                self.rest = text[extra:]
                return
            elif text.startswith("//", at):
                self._refuse_comment(at, extra)
                return
            else:
                yield Bad(BadKind.CHARACTER, text[extra:at], at, at + 1)
                extra = at = at + 1

    def end_of_string(self, start: int) -> int:
        """Return where the string that starts at `start` ends by the grammar, or -1 if nowhere.

        By the grammar the next unescaped quote ends it, however many lines away.
        """
        return _closing_quote(self.text, start, _IN_STRING)

    def _difficult_string(self, start: int, before: str) -> String | Bad:
        """Read a string that has escapes, or something wrong with it."""
        end = _closing_quote(self.text, start, _IN_LINE_OF_STRING)
        if end < 0:
            line_end = self.text.find("\n", start)
            end = len(self.text) if line_end < 0 else line_end
            return Bad(BadKind.STRING, before, start, end)
        raw = self.text[start:end]
        if re.search(_BAD_IN_STRING, raw.replace("\\\\", "__")):
            return Bad(BadKind.STRING, before, start, end)
        return String(raw, start, end, before)

    def _check_comment(self, start: int, end: int) -> None:
        if self._is_utf8:
            return
        if found := re.search(f"[{_SURROGATES}]", self.text[start:end]):
            at = start + found.start()
            self._log.report("invalid UTF-8 in comment", at, at + 1, ProblemKind.ENCODING)

    def _refuse_comment(self, start: int, extra: int) -> None:
        end = len(self.text)
        self._log.report(
            f"parsing comment: {UNEXPECTED_EOF}",
            end,
            end,
            related=(("the comment starts here", Span(start, start + 2)),),
        )
        self._log.gave_up = True
        self.rest = self.text[extra:]

    def _refuse_depth(self, start: int) -> None:
        message = f"nested more than {MAX_DEPTH} levels deep"
        self._log.report(message, start, start + 1, ProblemKind.TOO_DEEP)
        self._log.gave_up = True


def _word(raw: str, start: int, end: int, before: str) -> Literal | Number | Bad:
    if raw in _LITERALS:
        return Literal(_LITERALS[raw], start, end, before)
    if _NUMBER.fullmatch(raw):
        return Number(raw, start, end, before)
    return Bad(BadKind.WORD, before, start, end)


def _closing_quote(text: str, start: int, inside: str) -> int:
    """Return the offset after the quote that closes the string at `start`.

    `inside` matches a bounded run of what may be in the string, so that the pattern never keeps
    more than that many ways back; -1 if something else than a quote ends the runs.
    """
    run = re.compile(inside).match
    at = start + 1
    while found := run(text, at):
        at = found.end()
    return at + 1 if text.startswith('"', at) else -1
