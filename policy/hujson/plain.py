"""A tree as plain JSON values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from policy.hujson.tree import Array, Broken, Literal, Number, Object, String

if TYPE_CHECKING:
    from policy.hujson.tree import Node

__all__ = ["to_python"]


def to_python(node: Node) -> Any:
    """Return dicts, lists, strings, numbers, booleans and None; of equal names the last wins.

    Broken places become None. Iterative, since a tree may be deeper than the stack.
    """
    holder: list[Any] = [None]
    waiting: list[tuple[Node, Any, Any]] = [(node, holder, 0)]
    while waiting:
        current, parent, key = waiting.pop()
        value: Any
        match current:
            case Object():
                # Names first, so that their order is that of the text.
                value = {member.name.value: None for member in current.members}
                waiting.extend((m.value, value, m.name.value) for m in reversed(current.members))
            case Array():
                value = [None] * len(current.elements)
                waiting.extend((item, value, at) for at, item in enumerate(current.elements))
            case String() | Number() | Literal():
                value = current.value
            case Broken() | _:
                value = None
        parent[key] = value
    return holder[0]
