"""Puts the tree together: one callback for each production of `hujson.lark`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from policy.hujson.problems import MAX_PROBLEMS, ProblemKind, ProblemLog, SyntaxProblem
from policy.hujson.refusal import report_misnamed
from policy.hujson.tree import Array, Member, Node, Object, String

if TYPE_CHECKING:
    from collections.abc import Callable

    from policy.hujson.lexer import Lexer, Mark
    from policy.lalr.engine import Table


class IncompleteMembers(list[Member]):
    """Members of which some were left out, having no name."""


class Builder:
    """Builds the tree of one text and reports what the grammar alone does not catch."""

    def __init__(self, lexer: Lexer, log: ProblemLog) -> None:
        self.duplicates: list[SyntaxProblem] = []
        self._lexer = lexer
        self._log = log

    def callbacks(self, table: Table) -> list[Callable[[Any], Any]]:
        """Return what to call with the parts of each production of `table`."""
        return [getattr(self, f"on_{name}") for _, name, _ in table.productions]

    def on_start(self, parts: list[Node]) -> Node:
        """Keep the value; its extras are known only at the end of the text."""
        return parts[0]

    on_value = on_start

    def on_empty_object(self, parts: list[Mark]) -> Object:
        """Build `{}`."""
        opener, closer = parts
        return self._object(opener, [], closer, tail=closer.before)

    def on_object(self, parts: tuple[Mark, list[Member], Mark]) -> Object:
        """Build `{` members `}`."""
        opener, members, closer = parts
        if members:
            members[-1].value.after = closer.before
        return self._object(opener, members, closer)

    def on_object_with_trailing_comma(self, parts: tuple[Mark, list[Member], Mark, Mark]) -> Object:
        """Build `{` members `,` `}`."""
        opener, members, comma, closer = parts
        if members:
            members[-1].value.after = comma.before
        return self._object(opener, members, closer, tail=closer.before, trailing_comma=True)

    def on_first_member(self, parts: tuple[String, Mark, Node]) -> list[Member]:
        """Start the members of an object with name `:` value."""
        name, colon, value = parts
        name.after = colon.before
        return [Member(name, value)]

    def on_next_member(self, parts: tuple[list[Member], Mark, String, Mark, Node]) -> list[Member]:
        """Add to members: `,` name `:` value."""
        members, comma, name, colon, value = parts
        if members:
            members[-1].value.after = comma.before
        name.after = colon.before
        members.append(Member(name, value))
        return members

    def on_first_misnamed(self, _parts: object) -> list[Member]:
        """Start the members of an object with one that has no name, and so is left out."""
        return IncompleteMembers()

    def on_next_misnamed(self, parts: tuple[list[Member], object]) -> list[Member]:
        """Leave out a member that has no name."""
        members = parts[0]
        return members if type(members) is IncompleteMembers else IncompleteMembers(members)

    def on_misnamed(self, parts: tuple[Node, Mark]) -> None:
        """Refuse a value where a name should be."""
        report_misnamed(self._log, self._lexer, parts[0])

    def on_empty_array(self, parts: list[Mark]) -> Array:
        """Build `[]`."""
        opener, closer = parts
        return self._array(opener, [], closer, tail=closer.before)

    def on_array(self, parts: tuple[Mark, list[Node], Mark]) -> Array:
        """Build `[` elements `]`."""
        opener, elements, closer = parts
        elements[-1].after = closer.before
        return self._array(opener, elements, closer)

    def on_array_with_trailing_comma(self, parts: tuple[Mark, list[Node], Mark, Mark]) -> Array:
        """Build `[` elements `,` `]`."""
        opener, elements, comma, closer = parts
        elements[-1].after = comma.before
        return self._array(opener, elements, closer, tail=closer.before, trailing_comma=True)

    def on_first_element(self, parts: list[Node]) -> list[Node]:
        """Start the elements of an array."""
        return parts

    def on_next_element(self, parts: tuple[list[Node], Mark, Node]) -> list[Node]:
        """Add to elements: `,` value."""
        elements, comma, value = parts
        elements[-1].after = comma.before
        elements.append(value)
        return elements

    def _object(
        self,
        opener: Mark,
        members: list[Member],
        closer: Mark,
        *,
        tail: str = "",
        trailing_comma: bool = False,
    ) -> Object:
        self._lexer.depth -= 1
        node = Object(
            members,
            opener.start,
            closer.end,
            opener.before,
            trailing_comma=trailing_comma,
            tail=tail,
        )
        node.incomplete = opener.incomplete or type(members) is IncompleteMembers
        if len({member.name.value for member in members}) != len(members):
            self._refuse_duplicates(members)
        return node

    def _array(
        self,
        opener: Mark,
        elements: list[Node],
        closer: Mark,
        *,
        tail: str = "",
        trailing_comma: bool = False,
    ) -> Array:
        self._lexer.depth -= 1
        node = Array(
            elements,
            opener.start,
            closer.end,
            opener.before,
            trailing_comma=trailing_comma,
            tail=tail,
        )
        node.incomplete = opener.incomplete
        return node

    def _refuse_duplicates(self, members: list[Member]) -> None:
        first: dict[str, String] = {}
        for member in members:
            name = member.name
            if first.setdefault(name.value, name) is name or len(self.duplicates) >= MAX_PROBLEMS:
                continue
            self.duplicates.append(
                SyntaxProblem(
                    f"duplicate object name: {name.raw}",
                    name.span,
                    ProblemKind.DUPLICATE_NAME,
                    (("first used here", first[name.value].span),),
                )
            )
