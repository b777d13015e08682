"""Where the formatter breaks lines, indents and puts commas (policy reference 1.4).

All of it works on a tree of its own, in place, and in rounds: `normalize`, then `measure`, then
`lay_out`. In between, the extra in front of a closing bracket is always the `tail`, also when no
trailing comma sets it apart from what follows the last value.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from policy.hujson import extra as extras
from policy.hujson.extra import EMPTY, Extent, Place, breaks_line, extent, has_comment, width
from policy.hujson.pieces import spelling
from policy.hujson.tree import Composite, Object, String
from policy.source import MAX_BYTES

if TYPE_CHECKING:
    from policy.hujson.tree import Node

MAX_WIDTH = 80
"""Longest line, in bytes, of an object or array that need not be expanded."""

_ESCAPES = {
    "\b": r"\b",
    "\t": r"\t",
    "\n": r"\n",
    "\f": r"\f",
    "\r": r"\r",
    "\\": r"\\",
    '"': r"\"",
}
_NEEDS_ESCAPE = '[\\x00-\\x1f"\\\\]'

_ON_OWN_LINE = Place(starts_line=True)
_FIRST_ON_OWN_LINE = Place(starts_line=True, opens=True)
_NEXT = Place(separates=True)
_ANYWHERE = Place()
_BEFORE_CLOSING_LINE = Place(ends_line=True, closes=True)
_ALONE_BEFORE_CLOSING_LINE = Place(ends_line=True, opens=True, closes=True)


class TooLargeError(Exception):
    """Indentation alone would make the text larger than any that we read."""


class Shape(NamedTuple):
    """What the first rounds found out about the objects and arrays of a tree."""

    composites: list[Composite]
    """Every one of them, outer before inner."""
    extents: dict[Node, Extent]
    expanded: set[Node]


def composites(root: Node) -> list[Composite]:
    """List the objects and arrays of a tree, outer ones before those inside them."""
    found: list[Composite] = [root] if isinstance(root, Composite) else []
    for composite in found:
        found += [value for value in composite.values() if isinstance(value, Composite)]
    return found


def is_standard(root: Node, all_composites: list[Composite]) -> bool:
    """Whether a tree is plain JSON: no comment and no trailing comma anywhere."""
    if has_comment(root.before) or has_comment(root.after):
        return False
    for composite in all_composites:
        if composite.trailing_comma or has_comment(composite.tail):
            return False
        for node in (*composite.names(), *composite.values()):
            if has_comment(node.before) or has_comment(node.after):
                return False
    return True


def normalize(root: Node, all_composites: list[Composite]) -> None:
    """Respell strings, and take away whitespace that never survives."""
    _normalize_node(root)
    for composite in all_composites:
        content = composite.values()
        for node in (*composite.names(), *content):
            _normalize_node(node)
        composite.tail = extras.normalize(composite.tail)
        if content and not composite.trailing_comma:
            composite.tail, content[-1].after = content[-1].after, ""
        for node in (*composite.names(), *content):
            if not has_comment(node.after):
                node.after = ""
        if not content and not has_comment(composite.tail):
            composite.tail = ""


def _normalize_node(node: Node) -> None:
    if node.before:
        node.before = extras.normalize(node.before)
    if node.after:
        node.after = extras.normalize(node.after)
    if isinstance(node, String) and "\\" in node.raw:
        node.raw = '"' + re.sub(_NEEDS_ESCAPE, _escaped, node.value) + '"'


def _escaped(char: re.Match[str]) -> str:
    return _ESCAPES.get(char.group()) or f"\\u{ord(char.group()):04x}"


def measure(all_composites: list[Composite]) -> Shape:
    """Decide, from the inside out, which objects and arrays are expanded."""
    shape = Shape(all_composites, {}, set())
    for composite in reversed(all_composites):
        line = _Line(shape.extents)
        line.add_content(composite)
        if line.is_too_long or _has_breaks(composite):
            shape.expanded.add(composite)
            shape.extents[composite] = _expanded_extent(composite)
        else:
            shape.extents[composite] = line.extent()
    return shape


class _Line:
    """The lines of an object or array that is not expanded, as they fill up."""

    def __init__(self, inner: dict[Node, Extent]) -> None:
        self.is_too_long = False
        self._inner = inner
        self._first: int | None = None
        self._length = 0

    def add_content(self, composite: Composite) -> None:
        names = composite.names()
        self._add(len("["))
        for at, value in enumerate(composite.values()):
            if names:
                self._add_node(names[at])
                self._add(len(": "))
            self._add_node(value)
            self._add(len(", "))
        self._add_extra(composite.tail)
        self._add(len("]"))

    def extent(self) -> Extent:
        if self._first is None:
            return Extent(self._length, self._length, is_multiline=False)
        return Extent(self._first, self._length, is_multiline=True)

    def _add_node(self, node: Node) -> None:
        self._add_extra(node.before)
        if isinstance(node, Composite):
            self._add_lines(self._inner[node])
        else:
            self._add(width(spelling(node)))
        self._add_extra(node.after)

    def _add_extra(self, extra: str) -> None:
        if extra and extra != " ":
            self._add_lines(extent(extra))

    def _add_lines(self, lines: Extent) -> None:
        self._add(lines.first)
        if lines.is_multiline:
            if self._first is None:
                self._first = self._length
            self._length = lines.last

    def _add(self, length: int) -> None:
        self._length += length
        if self._length > MAX_WIDTH:
            self.is_too_long = True


def _has_breaks(composite: Composite) -> bool:
    """Whether there is a line break where a member or the closing bracket might go on a line."""
    firsts = composite.names() or composite.values()
    if "\n" in composite.tail or any("\n" in node.before for node in firsts):
        return True
    return bool(firsts) and "\n" in composite.values()[-1].after


def _expanded_extent(composite: Composite) -> Extent:
    firsts = composite.names() or composite.values()
    opening = firsts[0].before if firsts else composite.tail
    # Without a line break it is the one in front that will be put in.
    right_after = extent(opening) if breaks_line(opening) else EMPTY
    return Extent(1 + right_after.first, 1, is_multiline=True)


def lay_out(root: Node, shape: Shape, *, with_trailing_commas: bool) -> None:
    """Write every extra anew. Raises TooLargeError."""
    root.before = extras.lay_out(root.before, 0, _ANYWHERE).lstrip(" \t\n")
    root.after = extras.lay_out(root.after, 0, _ANYWHERE).rstrip(" \t\n") + "\n"
    depths = {root: 0}
    size = 0
    for composite in shape.composites:
        depth = depths.pop(composite)
        is_expanded = composite in shape.expanded
        inner = depth + is_expanded
        content = composite.values()
        size += inner * (len(content) + 1) if is_expanded else 0
        if size > MAX_BYTES:
            raise TooLargeError
        for value in content:
            if isinstance(value, Composite):
                depths[value] = inner
        _set_trailing_comma(composite, content, is_expanded and with_trailing_commas)
        _lay_out_members(composite, depth, is_expanded=is_expanded)
        _lay_out_tail(composite, content, depth, is_expanded=is_expanded)


def _set_trailing_comma(
    composite: Composite,
    content: list[Node],
    is_wanted: bool,  # noqa: FBT001
) -> None:
    if not content:
        return
    last = content[-1]
    if is_wanted:
        composite.trailing_comma = True
    elif composite.trailing_comma and not (has_comment(last.after) and has_comment(composite.tail)):
        composite.trailing_comma = False
        composite.tail = last.after + composite.tail
        last.after = ""


def _lay_out_members(composite: Composite, depth: int, *, is_expanded: bool) -> None:
    inner = depth + is_expanded
    place = _FIRST_ON_OWN_LINE if is_expanded else _ANYWHERE
    for node in composite.names() or composite.values():
        node.before = extras.lay_out(node.before, inner, place)
        place = _ON_OWN_LINE if is_expanded else _NEXT
        # Whatever starts a line inside a member hangs one level deeper than the member.
        if node.after:
            node.after = extras.lay_out(node.after, depth + 2, _ANYWHERE)
    if isinstance(composite, Object):
        for member in composite.members:
            value = member.value
            if value.before != " ":
                value.before = extras.lay_out(value.before, depth + 2, _NEXT)
            if value.after:
                value.after = extras.lay_out(value.after, depth + 2, _ANYWHERE)


def _lay_out_tail(
    composite: Composite, content: list[Node], depth: int, *, is_expanded: bool
) -> None:
    place = _ANYWHERE
    if is_expanded:
        place = _BEFORE_CLOSING_LINE if content else _ALONE_BEFORE_CLOSING_LINE
    composite.tail = extras.lay_out(composite.tail, depth + is_expanded, place)
    if content and not composite.trailing_comma:
        content[-1].after, composite.tail = composite.tail, ""
