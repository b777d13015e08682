"""The lossless tree of a HuJSON text (policy reference 1.1).

Every character of the text is in exactly one place: values keep their own spelling, brackets,
commas and colons follow from the shape, and each *extra* (a run of whitespace and comments) sits
beside the value it touches. In

    [ /* a */ 1 /* b */, 2, /* c */ ]

the first extra is what comes `before` the number 1, the second what comes `after` it, and the last,
behind the trailing comma, is the `tail` of the array.

Strings and scalars are also what the lexer hands to the parser: `type` names the terminal of the
grammar that they are.

INVARIANT: nothing here walks the tree recursively, so depth costs no stack.
"""

from __future__ import annotations

import re

from policy.source import Span

REPLACEMENT = "\ufffd"
"""Stands in for an escaped surrogate that has no partner, as in the service's own decoder."""

_MAX_INT_DIGITS = 640
"""Longer whole numbers become floats: the interpreter may refuse to convert them, and slowly."""

_ESCAPE = r"\\(?:u[dD][89abAB]..\\u[dD][c-fC-F]..|u....|.)"
"""One escape in a valid string; the two halves of a surrogate pair are one."""


class Node:
    """A value together with the extras on both sides of it."""

    __slots__ = ("after", "before", "end", "start")

    before: str
    """Extra between the preceding token and the value."""
    start: int
    """Offset of the value's first character."""
    end: int
    """Offset just past the value's last character."""
    after: str
    """Extra between the value and the colon, comma, closing bracket or end of text."""

    def __init__(self, start: int, end: int, before: str = "", after: str = "") -> None:
        self.before = before
        self.start = start
        self.end = end
        self.after = after

    @property
    def span(self) -> Span:
        """Where the value stands, extras left out."""
        return Span(self.start, self.end)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.start}..{self.end}>"


class Literal(Node):
    """`true`, `false` or `null`."""

    __slots__ = ("value",)

    type = "SCALAR"

    def __init__(
        self,
        value: bool | None,  # noqa: FBT001  it is the value itself, not a switch
        start: int,
        end: int,
        before: str = "",
        after: str = "",
    ) -> None:
        self.value = value
        self.before = before
        self.start = start
        self.end = end
        self.after = after


class Number(Node):
    """A number in the spelling it was written in."""

    __slots__ = ("raw",)

    type = "SCALAR"

    def __init__(self, raw: str, start: int, end: int, before: str = "", after: str = "") -> None:
        self.raw = raw
        self.before = before
        self.start = start
        self.end = end
        self.after = after

    @property
    def value(self) -> int | float:
        """An int if spelt without fraction and exponent, else a float; infinite where too large."""
        if len(self.raw) <= _MAX_INT_DIGITS and not set(self.raw) & set(".eE"):
            return int(self.raw)
        return float(self.raw)


class String(Node):
    """A string, as written and as decoded."""

    __slots__ = ("raw", "value")

    type = "STRING"

    raw: str
    """The spelling, quotes included."""
    value: str
    """The decoded characters. Escaped surrogates without a partner are U+FFFD."""

    def __init__(self, raw: str, start: int, end: int, before: str = "", after: str = "") -> None:
        self.raw = raw
        self.value = _decode(raw) if "\\" in raw else raw[1:-1]
        self.before = before
        self.start = start
        self.end = end
        self.after = after

    def span_of(self, first: int, last: int) -> Span:
        """Return the span of the decoded characters `first` up to, not including, `last`.

        An escape counts as the one character it stands for. Indices past either end are taken as
        that end.
        """
        length = len(self.value)
        first = min(max(first, 0), length)
        last = min(max(last, first), length)
        if "\\" not in self.raw:
            return Span(self.start + 1 + first, self.start + 1 + last)
        return Span(
            self.start + _offset_in(self.raw, first), self.start + _offset_in(self.raw, last)
        )


class Member:
    """A name and its value in an object."""

    __slots__ = ("name", "value")

    def __init__(self, name: String, value: Node) -> None:
        self.name = name
        self.value = value

    @property
    def span(self) -> Span:
        """From the name's opening quote to the end of the value."""
        return Span(self.name.start, self.value.end)

    def __repr__(self) -> str:
        return f"<Member {self.name.raw} {self.value!r}>"


class Composite(Node):
    """What objects and arrays have in common."""

    __slots__ = ("incomplete", "tail", "trailing_comma")

    trailing_comma: bool
    tail: str
    """Extra before the closing bracket if there is no value, or after the trailing comma."""
    incomplete: bool
    """Whether recovery from a syntax error left something out, so that absence proves nothing."""

    def __init__(
        self,
        start: int,
        end: int,
        before: str = "",
        after: str = "",
        *,
        trailing_comma: bool = False,
        tail: str = "",
    ) -> None:
        self.trailing_comma = trailing_comma
        self.tail = tail
        self.incomplete = False
        self.before = before
        self.start = start
        self.end = end
        self.after = after

    def names(self) -> list[String]:
        """Return the names that go with the values; an array has none."""
        raise NotImplementedError

    def values(self) -> list[Node]:
        """Return the values, in source order."""
        raise NotImplementedError


class Object(Composite):
    """An object; members are in source order, and names may repeat."""

    __slots__ = ("members",)

    def __init__(
        self,
        members: list[Member],
        start: int,
        end: int,
        before: str = "",
        after: str = "",
        *,
        trailing_comma: bool = False,
        tail: str = "",
    ) -> None:
        super().__init__(start, end, before, after, trailing_comma=trailing_comma, tail=tail)
        self.members = members

    def names(self) -> list[String]:
        """Return the names of the members, in source order."""
        return [member.name for member in self.members]

    def values(self) -> list[Node]:
        """Return the values of the members, in source order."""
        return [member.value for member in self.members]


class Array(Composite):
    """An array."""

    __slots__ = ("elements",)

    def __init__(
        self,
        elements: list[Node],
        start: int,
        end: int,
        before: str = "",
        after: str = "",
        *,
        trailing_comma: bool = False,
        tail: str = "",
    ) -> None:
        super().__init__(start, end, before, after, trailing_comma=trailing_comma, tail=tail)
        self.elements = elements

    def names(self) -> list[String]:
        """Return no name: elements have none."""
        return []

    def values(self) -> list[Node]:
        """Return the elements themselves, not a copy of their list."""
        return self.elements


class Broken(Node):
    """A place where a value should stand and parsing had to recover; already reported."""

    __slots__ = ("raw",)

    type = "SCALAR"

    raw: str
    """The text given up on; may be empty."""

    def __init__(self, raw: str, start: int, end: int, before: str = "", after: str = "") -> None:
        self.raw = raw
        self.before = before
        self.start = start
        self.end = end
        self.after = after


def _decode(raw: str) -> str:
    # Few strings have escapes; the others shall not pay for the import.
    from json.decoder import scanstring  # type: ignore[attr-defined]  # noqa: PLC0415

    value: str = scanstring(raw, 1)[0]
    return value if value.isascii() else re.sub("[\ud800-\udfff]", REPLACEMENT, value)


def _offset_in(raw: str, index: int) -> int:
    """Return where in `raw` the decoded character `index` starts, or the closing quote does."""
    offset = index + 1
    for escape in re.finditer(_ESCAPE, raw):
        if escape.start() >= offset:
            break
        offset += escape.end() - escape.start() - 1
    return offset
