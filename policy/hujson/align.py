"""Lines up the values of an object under one another (policy reference 1.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from policy.hujson.extra import width
from policy.hujson.tree import Object

if TYPE_CHECKING:
    from collections.abc import Iterator

    from policy.hujson.layout import Shape
    from policy.hujson.tree import Member


def align_values(shape: Shape) -> None:
    """Put spaces in front of values in every object of a tree that is laid out otherwise."""
    for composite in shape.composites:
        if isinstance(composite, Object) and composite in shape.expanded:
            for block in _blocks(composite, shape):
                _align(block)


def _blocks(expanded: Object, shape: Shape) -> Iterator[list[Member]]:
    """Yield runs of members on consecutive lines, one line for each member."""
    block: list[Member] = []
    for member in expanded.members:
        comments, _, indentation = member.name.before.rpartition("\n")
        # More than one line break means a blank line or a line of comment.
        if "\n" in comments:
            yield block
            block = []
        is_followed_by_comma = expanded.trailing_comma or member is not expanded.members[-1]
        after = member.value.after if is_followed_by_comma else ""
        if indentation.strip("\t") == "" and _is_on_one_line(member, after, shape):
            block.append(member)
        else:
            yield block
            block = []
    yield block


def _is_on_one_line(member: Member, after: str, shape: Shape) -> bool:
    """Whether there is no line break from the name to the comma; `after` is what precedes that."""
    inside = shape.extents.get(member.value)
    if inside is not None and inside.is_multiline:
        return False
    return not any("\n" in extra for extra in (member.name.after, member.value.before, after))


def _align(block: list[Member]) -> None:
    widths = [_width_up_to_value(member) for member in block]
    widest = max(widths, default=0)
    for member, own in zip(block, widths, strict=True):
        member.value.before += " " * (widest - own)


def _width_up_to_value(member: Member) -> int:
    return width(member.name.raw) + width(member.name.after) + width(member.value.before)
