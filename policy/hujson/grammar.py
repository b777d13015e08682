"""The LALR parse table of HuJSON, ready for Lark's parser engine.

Analysing `hujson.lark` takes Lark some 25 ms, longer than everything else that happens to a small
policy. So the table is generated ahead of time (`policy.hujson.generate`), kept in `_tables.py`,
and only handed to Lark here.
"""

from __future__ import annotations

from lark.grammar import NonTerminal, Rule, Terminal
from lark.parsers.lalr_analysis import IntParseTable, Reduce, Shift

from policy.hujson import _tables
from policy.hujson._tables import START


class Production(Rule):
    """A rule of the grammar that is looked up by identity.

    Lark finds the callback of each reduction in a dictionary keyed by rule, and computing the hash
    of a `Rule` takes a call into Python every time.
    """

    __slots__ = ()
    __hash__ = object.__hash__
    __eq__ = object.__eq__


def load() -> IntParseTable:
    """Build the parse table.

    A state in which nothing but one reduction is possible reduces on *every* terminal, whether or
    not that terminal can follow (a default reduction). So whenever the parser refuses a lexeme, it
    stands in a state whose choices say exactly what it was waiting for.
    """
    productions = [
        Production(NonTerminal(origin), [_symbol(name) for name in expansion], 0, alias)
        for origin, alias, expansion in _tables.PRODUCTIONS
    ]
    reductions = [(Reduce, production) for production in productions]
    states = {
        number: dict.fromkeys(_tables.TERMINALS, reductions[row])
        if isinstance(row, int)
        else {symbol: (Shift, target) for symbol, target in row.items()}
        for number, row in enumerate(_tables.STATES)
    }
    start, end = {START: _tables.START_STATE}, {START: _tables.END_STATE}
    return IntParseTable(states, start, end)  # type: ignore[no-untyped-call]


def productions(table: IntParseTable) -> set[Production]:
    """Return every production that `table` can reduce by."""
    return {
        target
        for row in table.states.values()
        for action, target in row.values()
        if action is Reduce
    }


def _symbol(name: str) -> Terminal | NonTerminal:
    return Terminal(name) if name.isupper() else NonTerminal(name)
