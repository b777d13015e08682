"""The lines of a policy that a finding speaks of, numbered and underlined.

    12 |     "src": ["tag:web"],
       |             ^^^^^^^^^

A span of several lines gets a bar beside it. However long a line or a span is, what is shown is
bounded: a line is cut to a window around the span, a span to its first lines and its last.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from policy.report.text import visible

if TYPE_CHECKING:
    from collections.abc import Iterator

    from policy.report.style import Style
    from policy.source import Source, Span

__all__ = ["excerpt", "gutter_width"]

_TAB = 4
"""Columns from one tab stop to the next."""
_WINDOW = 140
"""Most characters shown of one line."""
_LEAD = 60
"""Most characters shown in front of the span on its line, where the line is cut."""
_FIRST_LINES = 3
"""How many lines are shown of a span that is too long to show whole, before its last."""
_MOST_LINES = 6
_CUT = "\u2026"


class _Shown(NamedTuple):
    """A line as shown, and the columns (from 0) between which the span lies on it."""

    text: str
    first: int
    last: int


def gutter_width(source: Source, span: Span) -> int:
    """Return how many columns the line numbers of an excerpt take."""
    return len(str(source.position(span.end).line))


def excerpt(source: Source, span: Span, style: Style, *, mark: str = "^") -> list[str]:
    """Return the lines of an excerpt, without line ends.

    `mark` is what underlines a span of one line; where it is empty, nothing does.
    """
    first = source.position(span.start)
    last = source.position(max(span.end, span.start))
    width = len(str(last.line))
    empty = style.margin(f"{'':>{width}} |")
    if first.line == last.line:
        line = _line_around(source, span.start - first.column + 1, span.start, span.end)
        underline = f"{empty} {'':{line.first}}{mark * max(1, line.last - line.first)}"
        return [
            empty,
            f"{style.margin(f'{first.line:>{width}} |')} {line.text}".rstrip(),
            *([underline] if mark else ()),
        ]
    return [empty, *_bracketed(source, first.line, last.line, width, style)]


def _bracketed(source: Source, first: int, last: int, width: int, style: Style) -> Iterator[str]:
    numbers: list[int | None] = [*range(first, last + 1)]
    if last - first + 1 > _MOST_LINES:
        numbers = [*range(first, first + _FIRST_LINES), None, last]
    for number in numbers:
        if number is None:
            yield style.margin("." * width + " :")
            continue
        bar = "/" if number == first else "\\" if number == last else "|"
        text = source.line_text(number)
        shown, _ = _columns(text[:_WINDOW])
        cut = _CUT if len(text) > _WINDOW else ""
        yield f"{style.margin(f'{number:>{width}} |')} {style.bold(bar)} {shown}{cut}".rstrip()


def _line_around(source: Source, line_start: int, start: int, end: int) -> _Shown:
    """Show the line that starts at `line_start`, cut to a window around the span."""
    text = source.text
    # A line ends within reach or is cut: a line of megabytes is not searched for its end.
    limit = max(line_start, start - _LEAD) + _WINDOW
    line_end = text.find("\n", line_start, limit + 1)
    whole = line_end >= 0 or limit >= len(text)
    line_end = line_end if line_end >= 0 else min(limit, len(text))
    if line_end - line_start <= _WINDOW:
        left, lead = line_start, ""
    else:
        left = max(line_start, start - _LEAD)
        lead = _CUT if left > line_start else ""
    body = text[left:line_end].removesuffix("\r")
    shown, columns = _columns(body)
    offset = len(lead)
    at = min(start - left, len(columns) - 1)
    to = min(end - left, len(columns) - 1)
    return _Shown(
        lead + shown + ("" if whole else _CUT), offset + columns[at], offset + columns[to]
    )


def _columns(text: str) -> tuple[str, list[int]]:
    """Lay text out for a terminal; return it with the column of each character and of the end."""
    if text.isascii() and text.isprintable():
        return text, list(range(len(text) + 1))
    width_of = (lambda _: 1) if text.isascii() else _character_width
    shown: list[str] = []
    columns = [0]
    for char in text:
        if char == "\t":
            step = _TAB - columns[-1] % _TAB
            shown.append(" " * step)
        else:
            safe = visible(char)
            step = width_of(safe)
            shown.append(safe)
        columns.append(columns[-1] + step)
    return "".join(shown), columns


def _character_width(char: str) -> int:
    # Only texts beyond ASCII need the tables.
    from unicodedata import category, east_asian_width  # noqa: PLC0415

    if category(char) in {"Mn", "Me"}:
        return 0
    return 2 if east_asian_width(char) in {"W", "F"} else 1
