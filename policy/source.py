"""Policy text and places in it.

Everything that points into a policy does so with character offsets into `Source.text`. Lines and
columns are worked out only for the few places that end up in front of a reader.
"""

from __future__ import annotations

from bisect import bisect_right
from itertools import accumulate
from typing import NamedTuple

MAX_BYTES = 16 * 1024 * 1024
"""Largest policy accepted, in bytes of UTF-8. Whoever reads a file reads at most one byte more."""


class Position(NamedTuple):
    """One place in a text, in every way of counting that a reader or a tool may ask for."""

    line: int
    """Counted from 1; only a line feed ends a line."""
    column: int
    """Counted from 1, in characters."""
    byte_column: int
    """Counted from 1, in bytes since the last line feed: the column of syntax messages."""
    byte_offset: int
    """Counted from 0, in bytes since the start of the text."""


class Span(NamedTuple):
    """A stretch of a text in characters, counted from 0, the end not included."""

    start: int
    end: int


class Source:
    """A named text. Bytes that are not UTF-8 survive in it as lone surrogates U+DC80..U+DCFF."""

    __slots__ = ("_byte_starts", "_line_starts", "name", "text")

    def __init__(self, name: str, text: str) -> None:
        self.name = name
        self.text = text
        self._line_starts: list[int] = []
        self._byte_starts: list[int] = []

    @classmethod
    def from_bytes(cls, name: str, data: bytes) -> Source:
        """Decode `data` as UTF-8; any bytes are taken, and `to_bytes` gives the same ones back."""
        return cls(name, data.decode("utf-8", "surrogateescape"))

    def __repr__(self) -> str:
        return f"Source({self.name!r}, {len(self.text)} characters)"

    def to_bytes(self) -> bytes:
        """Return the text as the bytes it was read from."""
        return _encode(self.text)

    def size_exceeds(self, limit: int) -> bool:
        """Whether the text takes more than `limit` bytes."""
        if len(self.text) > limit:
            return True
        # No character takes more than four bytes.
        return len(self.text) > limit // 4 and len(_encode(self.text)) > limit

    def position(self, offset: int) -> Position:
        """Place `offset` on its line. Offsets past either end are taken as that end."""
        offset = min(max(offset, 0), len(self.text))
        starts = self._starts()
        line = bisect_right(starts, offset)
        start = starts[line - 1]
        in_bytes = len(_encode(self.text[start:offset]))
        return Position(
            line=line,
            column=offset - start + 1,
            byte_column=in_bytes + 1,
            byte_offset=self._starts_in_bytes()[line - 1] + in_bytes,
        )

    def line_text(self, line: int) -> str:
        """Return line `line` (from 1) without its line ending; empty if there is none."""
        starts = self._starts()
        if not 1 <= line <= len(starts):
            return ""
        end = starts[line] - 1 if line < len(starts) else len(self.text)
        return self.text[starts[line - 1] : end].removesuffix("\r")

    def _starts(self) -> list[int]:
        if not self._line_starts:
            self._line_starts = [0]
            find = self.text.find
            at = find("\n")
            while at >= 0:
                self._line_starts.append(at + 1)
                at = find("\n", at + 1)
        return self._line_starts

    def _starts_in_bytes(self) -> list[int]:
        if not self._byte_starts:
            if self.text.isascii():
                self._byte_starts = self._starts()
            else:
                sizes = (len(_encode(line)) + 1 for line in self.text.split("\n"))
                self._byte_starts = [0, *accumulate(sizes)][:-1]
        return self._byte_starts


def _encode(text: str) -> bytes:
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        # A text built in memory may hold surrogates that stand for no byte.
        return text.encode("utf-8", "surrogatepass")
