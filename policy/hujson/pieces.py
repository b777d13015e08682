"""A tree as the run of pieces that its text is made of.

`pack` and its kin differ only in what they do with the pieces.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING, TypeAlias

from policy.hujson.tree import Composite, Literal, Node, Object

if TYPE_CHECKING:
    from collections.abc import Iterator


class Piece(Enum):
    """What a piece of text is."""

    EXTRA = auto()
    """Whitespace and comments."""
    VALUE = auto()
    """A string, number or literal, or something broken."""
    MARK = auto()
    """A bracket, colon or comma."""
    TRAILING_COMMA = auto()


_Waiting: TypeAlias = "list[Composite | tuple[Piece, str]]"

_COLON = (Piece.MARK, ":")
_COMMA = (Piece.MARK, ",")
_TRAILING_COMMA = (Piece.TRAILING_COMMA, ",")
_OBJECT = (Piece.MARK, "{"), (Piece.MARK, "}")
_ARRAY = (Piece.MARK, "["), (Piece.MARK, "]")
_LITERALS = {True: "true", False: "false", None: "null"}


def pieces(root: Node) -> Iterator[tuple[Piece, str]]:
    """Yield the pieces of `root` in source order, its extras included; none is empty."""
    waiting: _Waiting = []  # what is still to come, last things first
    _push(waiting, root)
    while waiting:
        item = waiting.pop()
        if isinstance(item, tuple):
            yield item
        else:
            if item.before:
                yield Piece.EXTRA, item.before
            yield _open(waiting, item)


def spelling(node: Node) -> str:
    """Return the text of a string, number, literal or broken place."""
    if isinstance(node, Literal):
        return _LITERALS[node.value]
    raw: str = node.raw  # type: ignore[attr-defined]  # every other leaf has it
    return raw


def _push(waiting: _Waiting, node: Node) -> None:
    if node.after:
        waiting.append((Piece.EXTRA, node.after))
    if isinstance(node, Composite):
        waiting.append(node)
        return
    if text := spelling(node):
        waiting.append((Piece.VALUE, text))
    if node.before:
        waiting.append((Piece.EXTRA, node.before))


def _open(waiting: _Waiting, node: Composite) -> tuple[Piece, str]:
    """Push what follows the opening bracket of `node`, and return the bracket."""
    opener, closer = _OBJECT if isinstance(node, Object) else _ARRAY
    waiting.append(closer)
    if node.tail:
        waiting.append((Piece.EXTRA, node.tail))
    if node.trailing_comma:
        waiting.append(_TRAILING_COMMA)
    before_comma = len(waiting)
    names = node.names()
    for value in reversed(node.values()):
        _push(waiting, value)
        if names:
            waiting.append(_COLON)
            _push(waiting, names.pop())
        waiting.append(_COMMA)
    if len(waiting) > before_comma:
        waiting.pop()  # there is none in front of the first
    return opener
