"""Cuts a short string into lexemes, looking only for what can stand at each place."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from policy.lalr.engine import END, Automaton, RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from policy.lalr.engine import Table

__all__ = ["Grammar", "Lexeme", "UnexpectedTextError"]


class Lexeme(NamedTuple):
    """A piece of text and the terminal that it is."""

    type: str
    text: str


class UnexpectedTextError(ValueError):
    """A text that does not follow its grammar."""

    def __init__(self, text: str, at: int) -> None:
        super().__init__(text)
        self.at = at
        """Offset of the first character that cannot stand there."""


class Grammar:
    """A grammar whose lexemes depend on the place, as with Lark's contextual lexer."""

    def __init__(
        self,
        table: Table,
        patterns: Mapping[str, str],
        callbacks: Mapping[str, Callable[[list[Any]], Any]],
    ) -> None:
        """Bind a table to what is done for each of its productions, by callback name."""
        self._table = table
        self._patterns = patterns
        self._callbacks: Sequence[Callable[[list[Any]], Any]] = [
            callbacks[name] for _, name, _ in table.productions
        ]

    def parse(self, start: str, text: str) -> Any:
        """Return what the callbacks made of a text. Raises UnexpectedTextError."""
        automaton = Automaton(self._table, start, self._callbacks)
        at = 0
        try:
            while at < len(text):
                found = _pattern(frozenset(automaton.expected()), self._ordered).match(text, at)
                if found is None or found.end() == at:
                    raise UnexpectedTextError(text, at)
                automaton.feed(Lexeme(str(found.lastgroup), found[0]))
                at = found.end()
            automaton.feed(Lexeme(END, ""))
        except RefusedError:
            raise UnexpectedTextError(text, at) from None
        return automaton.values[-1]

    @property
    def _ordered(self) -> tuple[tuple[str, str], ...]:
        return tuple(self._patterns.items())


@cache
def _pattern(expected: frozenset[str], terminals: tuple[tuple[str, str], ...]) -> re.Pattern[str]:
    wanted = [f"(?P<{name}>{text})" for name, text in terminals if name in expected]
    return re.compile("|".join(wanted) or r"(?!)")
