"""Reading one object of the policy field by field, with every mistake of shape reported.

Field names match whatever their ASCII case (policy reference 1.1); `null` is the same as absent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from policy.diagnostics.diagnostic import Fix
from policy.hujson.plain import to_python
from policy.hujson.tree import Array, Broken, Literal, Node, Number, Object, String
from policy.model.term import Term
from policy.nearest import nearest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from policy.diagnostics.diagnostic import Collector
    from policy.source import Span

__all__ = ["Fields", "describe", "term"]

_BLANKS = " \t"
N = TypeVar("N", bound=Node)


class Fields:
    """The fields of one object.

    `known` maps each accepted name, in lower case, to the field it means; several names may mean
    one field, as `users` and `src` do in an acl.
    """

    def __init__(self, node: Object, known: Mapping[str, str], found: Collector) -> None:
        self.node = node
        self.found = found
        self._values: dict[str, Node] = {}
        self._names: dict[str, String] = {}
        for member in node.members:
            self._take(member.name, member.value, known)

    def _take(self, name: String, value: Node, known: Mapping[str, str]) -> None:
        field = known.get(name.value.lower()) if name.value.isascii() else None
        if field is None:
            close = nearest(name.value, dict.fromkeys(known.values()))
            self.found.shape(
                "POL202",
                f'json: unknown field "{name.value}"',
                name.span,
                help=f"did you mean `{close}`?" if close else None,
                fix=Fix(name.span, f'"{close}"', f"rename to `{close}`") if close else None,
            )
            return
        earlier = self._names.get(field)
        if earlier is None:
            self._names[field] = name
            self._values[field] = value
        elif earlier.value != name.value:  # the same spelling twice is a finding of the parser
            self.found.shape(
                "POL203",
                f'"{name.value}" and "{earlier.value}" are the same field',
                name.span,
                help=f"keep one of them, spelled `{field}`",
            )

    def __contains__(self, field: str) -> bool:
        return self.get(field) is not None

    def span(self, field: str) -> Span:
        """Return the place of a field's value, or of the whole object where it is absent."""
        node = self._values.get(field)
        return self.node.span if node is None else node.span

    def get(self, field: str) -> Node | None:
        """Return a field's value; None where absent, null or unreadable."""
        node = self._values.get(field)
        if isinstance(node, Broken) or (isinstance(node, Literal) and node.value is None):
            return None
        return node

    def given(self, field: str) -> bool:
        """Whether the field stands there at all, readable or not."""
        return field in self._values

    def string(self, field: str) -> Term | None:
        """Return a trimmed string."""
        node = self._typed(field, String, "a string")
        return term(node) if node is not None else None

    def boolean(self, field: str) -> bool | None:
        """Return true or false."""
        node = self.get(field)
        if isinstance(node, Literal):
            return node.value
        if node is not None:
            self.wrong_type(node, field, "true or false")
        return None

    def array(self, field: str) -> list[Node] | None:
        """Return the readable elements of an array."""
        node = self._typed(field, Array, "an array")
        return None if node is None else [item for item in node.elements if not _broken(item)]

    def strings(self, field: str) -> list[Term]:
        """Return the trimmed strings of an array; empty where absent."""
        return list(self._strings_of(self.array(field) or (), field))

    def objects(self, field: str) -> list[Object] | None:
        """Return the objects of an array; None where absent."""
        items = self.array(field)
        if items is None:
            return None
        for item in items:
            if not isinstance(item, Object):
                self.wrong_type(item, f"{field} entry", "an object")
        return [item for item in items if isinstance(item, Object)]

    def object(self, field: str) -> Object | None:
        """Return an object."""
        return self._typed(field, Object, "an object")

    def entries(self, field: str) -> Iterator[tuple[String, Node]]:
        """Yield the names and readable values of an object whose names are data."""
        node = self.object(field)
        if node is None:
            return
        seen: set[str] = set()
        for member in node.members:
            if member.name.value not in seen and not _broken(member.value):
                seen.add(member.name.value)
                yield member.name, member.value

    def names(self, field: str) -> frozenset[str]:
        """Return the names in an object whose names are data, whatever their values."""
        node = self._values.get(field)
        if not isinstance(node, Object):
            return frozenset()
        return frozenset(member.name.value for member in node.members)

    def string_list(self, node: Node, what: str) -> list[Term]:
        """Return the trimmed strings of an array that is no field of its own."""
        if isinstance(node, Literal) and node.value is None:
            return []
        if not isinstance(node, Array):
            self.wrong_type(node, what, "an array of strings")
            return []
        return list(self._strings_of((e for e in node.elements if not _broken(e)), what))

    def json(self, field: str) -> Any:
        """Return a field's value as plain JSON; None where absent."""
        node = self.get(field)
        return None if node is None else to_python(node)

    def wrong_type(self, node: Node, what: str, wanted: str) -> None:
        """Report a value of the wrong type."""
        self.found.shape("POL201", f"{what}: expected {wanted}, found {describe(node)}", node.span)

    def _strings_of(self, items: Any, what: str) -> Iterator[Term]:
        for item in items:
            if isinstance(item, String):
                yield term(item)
            else:
                self.wrong_type(item, f"{what} entry", "a string")

    def _typed(self, field: str, kind: type[N], wanted: str) -> N | None:
        node = self.get(field)
        if node is None or isinstance(node, kind):
            return node
        self.wrong_type(node, field, wanted)
        return None


def term(node: String) -> Term:
    """Trim a string and find the place of what is left."""
    text = node.value.strip(_BLANKS)
    lead = len(node.value) - len(node.value.lstrip(_BLANKS))
    return Term(text, node.span_of(lead, lead + len(text)) if text else node.span)


def describe(node: Node) -> str:
    """Name a value's type for a message."""
    match node:
        case Object():
            return "an object"
        case Array():
            return "an array"
        case String():
            return "a string"
        case Number():
            return "a number"
        case Literal(value=None):
            return "null"
        case _:
            return "true or false"


def _broken(node: Node) -> bool:
    return isinstance(node, Broken)
