"""The LALR automaton: one stack of states, one of values, and a table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["END", "Automaton", "RefusedError", "Table", "Terminal"]

END = "$END"
"""Type of the lexeme that ends a text."""


class Terminal(Protocol):
    """What the automaton asks of a lexeme."""

    @property
    def type(self) -> str:
        """Name of the terminal that it is."""
        ...


class Table(NamedTuple):
    """A parse table as `policy.lalr.generate` writes it."""

    productions: Sequence[tuple[str, str, int]]
    """Of each production: the symbol it makes, the name of its callback, how many parts it has."""
    states: Sequence[Mapping[str, int] | int]
    """Of each state: where a symbol leads, or `-1 - production` where it reduces. A state that is
    a number reduces by that production at once."""
    starts: Mapping[str, tuple[int, int]]
    """Of each start symbol: its first and its last state."""


class RefusedError(Exception):
    """A lexeme that cannot stand here; the automaton is as it was before it."""

    def __init__(self, lexeme: Terminal, expected: set[str]) -> None:
        super().__init__(lexeme.type)
        self.lexeme = lexeme
        self.expected = expected
        """Terminals that could stand here."""


class Automaton:
    """Parses one text, lexeme by lexeme.

    A state with but one possible reduction reduces at once, so that a lexeme is refused in a state
    whose choices say exactly what it was waiting for.
    """

    __slots__ = ("_callbacks", "_productions", "_states", "end_state", "state_stack", "values")

    def __init__(
        self, table: Table, start: str, callbacks: Sequence[Callable[[list[Any]], Any]]
    ) -> None:
        """Begin in the first state of `start`. `callbacks` go by production."""
        first, self.end_state = table.starts[start]
        self._states = table.states
        self._productions = table.productions
        self._callbacks = callbacks
        self.state_stack = [first]
        self.values: list[Any] = []
        """Values of the symbols read so far, innermost last."""

    @property
    def is_done(self) -> bool:
        """Whether the text is read to its end."""
        return self.state_stack[-1] == self.end_state

    def expected(self) -> set[str]:
        """Return the terminals that can stand here."""
        row = self._states[self.state_stack[-1]]
        return {s for s in row if s.isupper() or s == END} if not isinstance(row, int) else set()

    def feed(self, lexeme: Terminal) -> None:
        """Take one lexeme. Raises RefusedError if it cannot stand here."""
        states, stack = self._states, self.state_stack
        kind = lexeme.type
        if kind == END and self.is_done:
            return
        while True:
            target = states[stack[-1]].get(kind)  # type: ignore[union-attr]  # see INVARIANT
            if target is None:
                raise RefusedError(lexeme, self.expected())
            if target >= 0:
                break
            self._reduce(-1 - target)
            self._settle()
            if kind == END and self.is_done:
                return
        stack.append(target)
        self.values.append(lexeme)
        self._settle()

    def _settle(self) -> None:
        """INVARIANT: where a lexeme is looked at, the top state is none that reduces anyway."""
        while isinstance(row := self._states[self.state_stack[-1]], int):
            self._reduce(row)

    def _reduce(self, production: int) -> None:
        origin, _, size = self._productions[production]
        stack, values = self.state_stack, self.values
        parts = values[-size:]
        del stack[-size:], values[-size:]
        values.append(self._callbacks[production](parts))
        stack.append(self._states[stack[-1]][origin])  # type: ignore[index]  # it led here
