"""The standard layout of HuJSON (policy reference 1.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from policy.hujson.align import align_values
from policy.hujson.extra import COMMENT, has_comment
from policy.hujson.layout import (
    TooLargeError,
    composites,
    is_standard,
    lay_out,
    measure,
    normalize,
)
from policy.hujson.pack import pack
from policy.hujson.parse import ProblemKind, parse
from policy.hujson.pieces import Piece, pieces
from policy.hujson.tree import String
from policy.source import MAX_BYTES, Source

if TYPE_CHECKING:
    from collections.abc import Iterator

    from policy.hujson.tree import Node

__all__ = ["FormatError", "UnsoundFormatError", "format_source"]


class FormatError(Exception):
    """A text that cannot be formatted."""


class UnsoundFormatError(FormatError):
    """The formatted text would not say what the text says: the formatter is at fault."""


def format_source(source: Source) -> str:
    """Return the text of `source` in the standard layout, comments and meaning kept.

    Names that occur twice stay. Raises FormatError if the text does not follow the grammar or the
    result would be too large to be read again, UnsoundFormatError rather than return something
    that means anything else.
    """
    root = _parsed(source)
    meaning = list(_meaning(root))
    formatted = _formatted(root)
    if not _says(meaning, Source(source.name, formatted)):
        raise UnsoundFormatError(
            f"{source.name}: formatting would change what the policy says; nothing was changed. "
            "This is a fault of the formatter: please report it with the text."
        )
    return formatted


def _parsed(source: Source) -> Node:
    root, problems = parse(source)[1:]
    for problem in problems:
        if problem.kind is not ProblemKind.DUPLICATE_NAME:
            place = source.position(problem.span.start)
            raise FormatError(
                f"{source.name}:{place.line}:{place.column}: {problem.message}; "
                "only text without syntax errors can be formatted"
            )
    if root is None:
        raise AssertionError("a text without problems has a value")
    return root


def _formatted(root: Node) -> str:
    """Lay out `root`, which is used up by it."""
    found = composites(root)
    with_trailing_commas = not is_standard(root, found)
    normalize(root, found)
    shape = measure(found)
    try:
        lay_out(root, shape, with_trailing_commas=with_trailing_commas)
    except TooLargeError:
        formatted = None
    else:
        align_values(shape)
        formatted = pack(root)
    if formatted is None or Source("", formatted).size_exceeds(MAX_BYTES):
        raise FormatError(f"the formatted text would be larger than {MAX_BYTES // 2**20} MiB")
    return formatted


def _says(meaning: list[str], formatted: Source) -> bool:
    root, problems = parse(formatted)[1:]
    if root is None or any(each.kind is not ProblemKind.DUPLICATE_NAME for each in problems):
        return False
    return list(_meaning(root)) == meaning


def _meaning(root: Node) -> Iterator[str]:
    """Yield what layout must keep, in order: values, brackets and colons, and comments.

    Of comments that is their text without regard to whitespace, which may be put differently.
    """
    for piece, text in pieces(root):
        if text.startswith('"'):
            yield '"' + String(text, 0, 0).value
        elif piece is Piece.EXTRA:
            if has_comment(text):
                for comment in COMMENT.findall(text):
                    yield " ".join(comment.split())
        elif text != ",":
            yield text
