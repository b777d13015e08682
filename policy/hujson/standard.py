"""HuJSON to plain JSON (policy reference 1.3). Both need a tree without problems."""

from __future__ import annotations

from typing import TYPE_CHECKING

from policy.hujson.extra import COMMENT, has_comment
from policy.hujson.pieces import Piece, pieces

if TYPE_CHECKING:
    import re

    from policy.hujson.tree import Node

__all__ = ["minimize", "standardize"]


def standardize(root: Node) -> str:
    """Blank out comments and trailing commas.

    Every byte of them becomes a space, line feeds stay. So whatever else reads the result speaks
    of the same lines and byte offsets as the original has.
    """
    return "".join(_standard(piece, text) for piece, text in pieces(root))


def minimize(root: Node) -> str:
    """Leave out whitespace, comments and trailing commas."""
    kept = (Piece.VALUE, Piece.MARK)
    return "".join(text for piece, text in pieces(root) if piece in kept)


def _standard(piece: Piece, text: str) -> str:
    if piece is Piece.TRAILING_COMMA:
        return " "
    if piece is Piece.EXTRA and has_comment(text):
        return COMMENT.sub(_blank, text)
    return text


def _blank(comment: re.Match[str]) -> str:
    lines = comment.group().split("\n")
    return "\n".join(" " * len(line.encode("utf-8", "surrogatepass")) for line in lines)
