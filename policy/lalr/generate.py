"""Turns the `.lark` grammars of this package into parse tables: `python -m policy.lalr.generate`.

Nothing imports this module when a policy is read. A test proves that the kept tables are those
that it would write.
"""

from __future__ import annotations

from pathlib import Path
from pprint import pformat
from typing import TYPE_CHECKING, NamedTuple

from lark import Lark
from lark.parsers.lalr_analysis import Reduce

from policy.lalr.engine import Table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lark.grammar import Rule
    from lark.parsers.lalr_analysis import IntParseTable

__all__ = ["GRAMMARS", "Grammar", "main", "make_table", "render"]

_ROOT = Path(__file__).parents[1]


class Grammar(NamedTuple):
    """A grammar file and the symbols that texts in it start with."""

    path: Path
    starts: tuple[str, ...]

    @property
    def tables(self) -> Path:
        """The module that holds its parse table."""
        return self.path.with_name(f"_{self.path.stem}_tables.py")

    def lark(self) -> Lark:
        """Return Lark's own parser of the grammar."""
        text = self.path.read_text(encoding="utf-8")
        return Lark(text, parser="lalr", start=list(self.starts), maybe_placeholders=False)


GRAMMARS = (
    Grammar(_ROOT / "hujson" / "hujson.lark", ("start",)),
    Grammar(_ROOT / "model" / "terms.lark", ("selector", "ports", "grant_ip")),
)


def make_table(grammar: Grammar) -> tuple[Table, dict[str, str]]:
    """Analyse a grammar; return its table, and the pattern of each of its terminals in order.

    States are numbered in an order that depends on nothing but the grammar.
    """
    lark = grammar.lark()
    table: IntParseTable = lark.parser.parser.parser.parse_table
    order = _breadth_first(table, grammar.starts)
    rules: dict[Rule, int] = {}
    states: list[dict[str, int] | int] = []
    for state in order:
        row = table.states[state]
        reduced_by = {target for action, target in row.values() if action is Reduce}
        if len(reduced_by) == 1 and all(action is Reduce for action, _ in row.values()):
            states.append(rules.setdefault(reduced_by.pop(), len(rules)))
        else:
            states.append(
                {
                    symbol: -1 - rules.setdefault(to, len(rules))
                    if action is Reduce
                    else order.index(to)
                    for symbol, (action, to) in sorted(row.items())
                }
            )
    made = Table(
        productions=tuple(
            (str(r.origin.name), str(r.alias or r.origin.name), len(r.expansion)) for r in rules
        ),
        states=tuple(states),
        starts={
            start: (order.index(table.start_states[start]), order.index(table.end_states[start]))
            for start in grammar.starts
        },
    )
    return made, dict(_patterns(lark))


def _patterns(lark: Lark) -> Iterator[tuple[str, str]]:
    """Yield the terminals that have a pattern, in the order in which Lark tries them."""
    for terminal in sorted(lark.terminals, key=lambda t: (-t.priority, t.name)):
        if terminal.pattern.raw is not None:
            yield str(terminal.name), terminal.pattern.to_regexp()


def _breadth_first(table: IntParseTable, starts: tuple[str, ...]) -> list[int]:
    order = [table.start_states[start] for start in starts]
    for state in order:
        for _, (action, target) in sorted(table.states[state].items()):
            if action is not Reduce and target not in order:
                order.append(target)
    return order


def render(grammar: Grammar) -> str:
    """Return the source of a grammar's tables module."""
    table, patterns = make_table(grammar)
    name = grammar.path.name
    fields = {
        "productions": pformat(table.productions, width=82, compact=True),
        "states": pformat(table.states, width=82, compact=True),
        "starts": repr(table.starts),
    }
    arguments = "".join(f"    {field}={value},\n" for field, value in fields.items())
    parts = [
        f'"""Parse table of `{name}`, made by `python -m policy.lalr.generate`; do not edit."""',
        "# fmt: off",
        "from policy.lalr.engine import Table",
        f"TABLE = Table(\n{arguments})",
        f"PATTERNS = {pformat(patterns, width=86, sort_dicts=False)}",
    ]
    return "\n\n".join(parts) + "\n"


def main() -> None:
    """Write every table next to its grammar."""
    for grammar in GRAMMARS:
        grammar.tables.write_text(render(grammar), encoding="utf-8")


if __name__ == "__main__":
    main()
