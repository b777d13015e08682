"""Trees back to text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from policy.hujson.pieces import pieces
from policy.hujson.tree import Node

if TYPE_CHECKING:
    from policy.hujson.parse import Parsed

__all__ = ["pack"]


def pack(tree: Parsed | Node) -> str:
    """Write out a tree: for a text without problems, character by character what was read.

    Of a text with problems, what recovery left out is missing, and what it put in is there.
    """
    root = tree if isinstance(tree, Node) else tree.root
    return "" if root is None else "".join(text for _, text in pieces(root))
