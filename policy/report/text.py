"""Text of policies made fit for showing: it may hold anything, and terminals obey some of it."""

from __future__ import annotations

__all__ = ["counted", "one_line", "visible"]

_CONTROL_PICTURES = 0x2400
_SPACE = 0x20
_DELETE = 0x7F
_DELETE_PICTURE = "\u2421"
_REPLACEMENT = "\ufffd"


def visible(text: str) -> str:
    """Replace what a terminal would act upon, or could not show, one character for one."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() or char == "\n" else _picture(char) for char in text)


def one_line(text: str) -> str:
    """Make `text` visible and put it on one line."""
    return visible(text).replace("\n", chr(_CONTROL_PICTURES + 0x0A))


def counted(number: int, noun: str) -> str:
    """Say a number of things: `1 error`, `2 errors`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _picture(char: str) -> str:
    code = ord(char)
    if code < _SPACE:
        return chr(_CONTROL_PICTURES + code)
    return _DELETE_PICTURE if code == _DELETE else _REPLACEMENT
