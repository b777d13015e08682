"""Extras, the runs of whitespace and comments between tokens: taking apart, laying out."""

from __future__ import annotations

import re
from typing import NamedTuple

COMMENT = re.compile(r"//[^\n]*|/\*[\s\S]*?\*/")
"""A comment in an extra; the line feed that ends a line comment is left to the whitespace."""

_SEGMENT = re.compile(rf"([ \t\r\n]+)|({COMMENT.pattern})")


def has_comment(extra: str) -> bool:
    """Whether there is a comment, given that there is nothing else but whitespace."""
    return "/" in extra


def normalize(extra: str) -> str:
    """Make line ends line feeds, and take out of comments what depends on where they stand.

    Lines lose their trailing blanks, and block comments the indentation that their lines share.
    """
    if "\r" in extra:
        extra = extra.replace("\r\n", "\n").replace("\n\r", "\n").replace("\r", " ")
    return COMMENT.sub(_normalized, extra) if has_comment(extra) else extra


def _normalized(comment: re.Match[str]) -> str:
    first, *rest = (line.rstrip(" \t") for line in comment.group().split("\n"))
    if not rest:
        return first
    closes_alone = rest[-1].strip(" \t") == "*/"
    lines = rest[:-1] if closes_alone else rest
    shared = _shared_start([line for line in lines if line])
    text = shared.lstrip(" \t")
    margin = len(shared) - len(text)
    # Stars are lined up under the one that opens the comment.
    stars = " " if text.startswith("*") and all(lines) else ""
    lines = [stars + line[margin:] if line else "" for line in lines]
    if closes_alone:
        lines.append(stars + "*/")
    return "\n".join([first, *lines])


def _shared_start(lines: list[str]) -> str:
    """Return the longest text that all of `lines` start with."""
    if not lines:
        return ""
    # What the first and the last in order share, all in between share as well.
    low, high = min(lines), max(lines)
    for at, char in enumerate(low):
        if not high.startswith(char, at):
            return low[:at]
    return low


class Extent(NamedTuple):
    """How far text reaches on the lines that it touches, in bytes, indentation left out."""

    first: int
    """What it adds to the line it starts on."""
    last: int
    """What it puts on the line it ends on; equals `first` if that is the same line."""
    is_multiline: bool


EMPTY = Extent(0, 0, is_multiline=False)
_LINE_BREAK = Extent(0, 0, is_multiline=True)


def width(text: str) -> int:
    """Return the length of `text` in bytes."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def extent(extra: str) -> Extent:
    """Measure a normalized extra: a comment counts with a space in front.

    A block comment counts with one behind as well if it does not end its line.
    """
    if not has_comment(extra):
        return _LINE_BREAK if "\n" in extra else EMPTY
    lines = [0]
    for space, comment in _SEGMENT.findall(extra):
        if space:
            lines += [0] * space.count("\n")
        else:
            first, *rest = comment.split("\n")
            lines[-1] += 1 + width(first)
            lines += map(width, rest)
    if extra.rstrip(" \t").endswith("*/"):
        lines[-1] += 1
    return Extent(lines[0], lines[-1], is_multiline=len(lines) > 1)


class Place(NamedTuple):
    """What an extra has to do where it stands, beyond keeping what it holds."""

    starts_line: bool = False
    """There is a line break in it, if need be in front of everything."""
    ends_line: bool = False
    """It ends with a line break."""
    opens: bool = False
    """It follows an opening bracket: no blank line at its start."""
    closes: bool = False
    """It precedes a closing bracket: no blank line at its end, and one level less indentation for
    what follows."""
    separates: bool = False
    """It is not empty: a space will do."""


def breaks_line(extra: str) -> bool:
    """Whether there is a line break outside of block comments."""
    if not has_comment(extra):
        return "\n" in extra
    return "\n" in COMMENT.sub("", extra)


def lay_out(extra: str, depth: int, place: Place) -> str:
    """Lay out a normalized extra; what starts a line is indented by `depth` tabs."""
    if not has_comment(extra):
        return _lay_out_blank(extra, depth, place)
    out = "\n" if place.starts_line and not breaks_line(extra) else ""
    for space, comment in _SEGMENT.findall(extra):
        if space:
            out += "\n" * min(space.count("\n"), 2)
        else:
            out += "\t" * depth if out.endswith("\n") else " "
            out += _indented(comment, depth)
    if place.ends_line and not out.endswith("\n"):
        out += "\n"
    if place.opens and out.startswith("\n\n"):
        out = out[1:]
    if place.closes and out.endswith("\n\n"):
        out = out[:-1]
    return out + ("\t" * (depth - place.closes) if out.endswith("\n") else " ")


def _lay_out_blank(extra: str, depth: int, place: Place) -> str:
    breaks = min(extra.count("\n"), 1 if place.opens or place.closes else 2)
    if breaks == 0 and not (place.starts_line or place.ends_line):
        return " " if place.separates else ""
    return "\n" * max(breaks, 1) + "\t" * (depth - place.closes)


def _indented(comment: str, depth: int) -> str:
    first, *rest = comment.split("\n")
    return "\n".join([first, *("\t" * depth + line if line else "" for line in rest)])
