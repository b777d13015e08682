"""Reading on after a syntax error, so that one run reports several.

The parser stands still at the lexeme that it refuses. From what it was waiting for follow both the
message, which is the one that a strict parser would stop with, and a small repair: leave something
out, or put in a comma, a colon, a closing bracket or a `Broken` value. Until the parser accepts a
lexeme again that was really there it is *quiet*: what it refuses meanwhile is fallout, not news.

INVARIANT: every repair uses up the refused lexeme or brings the parser to a state that is nearer to
accepting it, so reading always ends.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from policy.hujson.lexer import END, Bad, Lexeme, Lexer, Mark
from policy.hujson.refusal import Awaiting, awaiting, report, report_misnamed
from policy.hujson.tree import Broken, Node, String
from policy.lalr.engine import RefusedError
from policy.source import Span

if TYPE_CHECKING:
    from collections.abc import Iterator

    from policy.hujson.problems import ProblemLog
    from policy.lalr.engine import Automaton

_MAX_LEFT_OUT = 50_000
"""How many lexemes of a text may come to nothing. What has more of them is no policy, and reading
on would only take time."""

_CLOSER_OF = {"LBRACE": "RBRACE", "LSQB": "RSQB"}
_OPENER_OF = {"RBRACE": "LBRACE", "RSQB": "LSQB"}
_VALUE_STARTS = {"STRING", "SCALAR", *_CLOSER_OF}


class Recovery:
    """Drives a parser to the end of a text in which it has refused a lexeme."""

    def __init__(self, lexer: Lexer, log: ProblemLog, automaton: Automaton) -> None:
        self._lexer = lexer
        self._log = log
        self._automaton = automaton
        self._lexemes: Iterator[Lexeme] = iter(())
        self._pushed_back: list[Lexeme] = []
        self._expected: set[str] = set()
        self._left_out = 0

    def resume(self, refused: RefusedError, lexemes: Iterator[Lexeme]) -> None:
        """Read on from the lexeme that was `refused` until the parser is done."""
        self._lexemes = lexemes
        self._expected = refused.expected
        self._repair(cast("Lexeme", refused.lexeme))
        while True:
            lexeme = self._next()
            if not self._accepts(lexeme):
                self._repair(lexeme)
            elif lexeme.type == END:
                return
            else:
                self._log.quiet = False

    def _next(self) -> Lexeme:
        if self._pushed_back:
            return self._pushed_back.pop()
        if self._log.gave_up:
            return self._lexer.end_mark()
        return next(self._lexemes, None) or self._lexer.end_mark()

    def _next_but_one(self) -> Lexeme:
        """Leave out the lexeme at hand."""
        self._count_left_out()
        return self._next()

    def _count_left_out(self) -> None:
        self._left_out += 1
        if self._left_out > _MAX_LEFT_OUT:
            self._log.gave_up = True

    def _push_back(self, lexeme: Lexeme) -> None:
        self._pushed_back.append(lexeme)

    def _is_before_colon(self) -> bool:
        following = self._next()
        self._push_back(following)
        return following.type == "COLON"

    def _accepts(self, lexeme: Lexeme) -> bool:
        try:
            self._automaton.feed(lexeme)
        except RefusedError as refused:
            self._expected = refused.expected
            return False
        return True

    def _insert(self, kind: str, at: int) -> None:
        """Feed a bracket, comma or colon that is not there. The parser must be waiting for it."""
        self._accepts(Mark(kind, "", at, at))

    def _insert_broken(self, at: Lexeme) -> None:
        """Feed a stand-in for a value: for `at` if that is a bad lexeme, else for nothing."""
        if isinstance(at, Bad):
            raw = self._lexer.text[at.start : at.end]
            self._accepts(Broken(raw, at.start, at.end, at.before))
        else:
            self._accepts(Broken("", at.start, at.start))

    def _awaiting(self) -> Awaiting:
        return awaiting(self._expected, is_nested=bool(self._automaton.values))

    def _openers(self) -> Iterator[Mark]:
        """Yield the brackets that are open, innermost first."""
        for value in reversed(self._automaton.values):
            if isinstance(value, Mark) and value.type in _CLOSER_OF:
                yield value

    def _repair(self, refused: Lexeme) -> None:
        instead_of = self._awaiting()
        top = self._automaton.values[-1] if self._automaton.values else None
        is_misnamed = instead_of is Awaiting.COLON and not isinstance(top, String)
        is_news = not (self._log.quiet or self._log.gave_up)
        opener = next(self._openers(), None)
        if opener is not None:
            opener.incomplete = True
        if is_misnamed:
            report_misnamed(self._log, self._lexer, cast("Node", top))
        elif is_news:
            report(self._log, self._lexer, refused, instead_of, _opened(opener))
        if isinstance(refused, Bad) and self._lexer.text[refused.start] == "#":
            self._skip_line(refused)
            return
        self._log.quiet = True
        self._count_left_out()
        if refused.type == END or instead_of is Awaiting.TEXT_END:
            self._finish(refused)
        elif refused.type in _OPENER_OF and instead_of not in {
            Awaiting.ROOT,
            Awaiting.VALUE,
            Awaiting.COLON,
        }:
            self._close_up_to(refused, instead_of, is_news=is_news)
        elif instead_of is Awaiting.ROOT:
            self._skip_to_root(refused)
        elif instead_of is Awaiting.COLON:
            self._repair_colon(refused)
        elif instead_of is Awaiting.MEMBER_END:
            self._repair_member_end(refused)
        elif instead_of is Awaiting.ELEMENT_END:
            self._repair_element_end(refused)
        else:
            self._repair_value(refused, instead_of)

    def _repair_value(self, refused: Lexeme, instead_of: Awaiting) -> None:
        """Put in a stand-in where there must be a value; leave out what is merely too much."""
        if isinstance(refused, Bad):
            self._insert_broken(refused)
        elif instead_of is (Awaiting.NAME if refused.type == "COLON" else Awaiting.VALUE):
            self._insert_broken(refused)
            self._push_back(refused)

    def _repair_colon(self, refused: Lexeme) -> None:
        """Put in the colon, and a stand-in for the value unless here is one."""
        self._insert("COLON", refused.start)
        if refused.type in _VALUE_STARTS:
            self._accepts(refused)
            return
        self._insert_broken(refused)
        if not isinstance(refused, Bad):
            self._push_back(refused)

    def _repair_member_end(self, refused: Lexeme) -> None:
        """Put in a comma in front of what is plainly another member; else find the next one."""
        if refused.type == "STRING" and self._is_before_colon():
            self._insert("COMMA", refused.start)
            self._accepts(refused)
        else:
            self._skip(refused, in_object=True)

    def _repair_element_end(self, refused: Lexeme) -> None:
        """Put in a comma in front of what is plainly another element; else find the next one."""
        elements = self._automaton.values[-1]
        if refused.type == "COLON":
            if len(elements) > 1 and isinstance(elements[-1], String) and self._is_in_object():
                # The last "element" is the name of the next member: a closing bracket is missing.
                name = elements.pop()
                self._insert("RSQB", name.start)
                self._insert("COMMA", name.start)
                self._accepts(name)
                self._accepts(refused)
            else:
                # Members in square brackets, most likely: one complaint will do.
                self._skip(refused, to_closer=True)
        elif refused.type in _VALUE_STARTS and not isinstance(elements[-1], Broken):
            self._insert("COMMA", refused.start)
            self._accepts(refused)
        else:
            self._skip(refused)

    def _is_in_object(self) -> bool:
        """Whether the innermost array or object is in an object."""
        openers = self._openers()
        next(openers)
        outer = next(openers, None)
        return outer is not None and outer.type == "LBRACE"

    def _close_up_to(self, closer: Lexeme, instead_of: Awaiting, *, is_news: bool) -> None:
        """Close what was left open inside the object or array that `closer` closes.

        If there is none, it was meant to be the other bracket, or stands there for no reason.
        """
        inner: list[Mark] = []
        for opener in self._openers() if is_news else ():
            if opener.type == _OPENER_OF[closer.type]:
                break
            inner.append(opener)
        else:
            if inner and instead_of in {Awaiting.MEMBER_END, Awaiting.ELEMENT_END}:
                self._insert(_CLOSER_OF[inner[0].type], closer.end)
            return
        for opener in inner:
            opener.incomplete = True
            self._insert(_CLOSER_OF[opener.type], closer.start)
        self._accepts(closer)

    def _skip_to_root(self, lexeme: Lexeme) -> None:
        """Leave out everything in front of the first bracket."""
        while lexeme.type not in _CLOSER_OF and lexeme.type != END:
            lexeme = self._next_but_one()
        self._push_back(lexeme)

    def _skip_line(self, lexeme: Lexeme) -> None:
        """Leave out the rest of a line: a comment as in other languages."""
        lexeme = self._next_but_one()
        while "\n" not in lexeme.before and lexeme.type != END:
            lexeme = self._next_but_one()
        self._push_back(lexeme)

    def _skip(self, lexeme: Lexeme, *, in_object: bool = False, to_closer: bool = False) -> None:
        """Leave out everything up to the next comma or closing bracket of this object or array.

        In an object a name with its colon on a new line will do as well.
        """
        depth = 0
        while lexeme.type != END:
            if lexeme.type in _CLOSER_OF:
                depth += 1
            elif depth:
                depth -= lexeme.type in _OPENER_OF
            elif lexeme.type in _OPENER_OF or (lexeme.type == "COMMA" and not to_closer):
                break
            elif (
                in_object
                and lexeme.type == "STRING"
                and "\n" in lexeme.before
                and self._is_before_colon()
            ):
                self._insert("COMMA", lexeme.start)
                break
            lexeme = self._next_but_one()
        self._push_back(lexeme)

    def _finish(self, refused: Lexeme) -> None:
        """Close everything that is open, at the end of the text or where reading stops."""
        self._log.gave_up = True
        for opener in self._openers():
            opener.incomplete = True
        end = self._lexer.end_mark()
        self._pushed_back = [end]
        while not self._accepts(end):
            missing = self._awaiting()
            if missing in {Awaiting.ROOT, Awaiting.VALUE}:
                self._insert_broken(end)
            elif missing is Awaiting.COLON:
                self._insert("COLON", refused.start)
            elif missing in {Awaiting.NAME, Awaiting.MEMBER_END}:
                self._insert("RBRACE", refused.start)
            else:
                self._insert("RSQB", refused.start)


def _opened(opener: Mark | None) -> tuple[tuple[str, Span], ...]:
    if opener is None:
        return ()
    what = "object" if opener.type == "LBRACE" else "array"
    return ((f"the {what} starts here", Span(opener.start, opener.end)),)
