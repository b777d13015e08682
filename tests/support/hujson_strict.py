"""A strict reader of HuJSON, written straight from the grammar, that stops at the first problem.

It works on bytes, one at a time, and recursively, so it is for small texts only: an oracle for what
the first problem of a text is, and where.
"""

from __future__ import annotations

import json
import re
from typing import NamedTuple

_RUN = frozenset(b"+-.0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
_NUMBER = re.compile(rb"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?")
_SHOWN = {7: "a", 8: "b", 9: "t", 10: "n", 11: "v", 12: "f", 13: "r", 39: "'", 92: "\\"}


class Refusal(NamedTuple):
    """The first problem of a text."""

    line: int
    column: int
    """In bytes, from 1."""
    message: str


class _StopError(Exception):
    def __init__(self, at: int, message: str) -> None:
        super().__init__(message)
        self.at = at
        self.message = message


class _CloserError(_StopError):
    """A closing bracket where a value should start, which is what ends a list of them."""


def first_problem(data: bytes) -> Refusal | None:
    """Return what a strict reader stops with, or None for a text that follows the grammar."""
    try:
        _document(data)
    except _StopError as stop:
        line_start = data.rfind(b"\n", 0, stop.at) + 1
        line = data.count(b"\n", 0, stop.at) + 1
        return Refusal(line, stop.at - line_start + 1, stop.message)
    return None


def _document(data: bytes) -> None:
    end = _trimmed(data, 0)[1]
    if end < len(data):
        raise _StopError(end, f"invalid character {_quoted(data, end)} after top-level value")


def _quoted(data: bytes, at: int) -> str:
    for size in range(1, 5):
        try:
            char = data[at : at + size].decode()
        except UnicodeDecodeError:
            continue
        code = ord(char)
        if code in _SHOWN:
            return f"'\\{_SHOWN[code]}'"
        if char.isprintable():
            return f"'{char}'"
        if code < 0x80:
            return f"'\\x{code:02x}'"
        return f"'\\u{code:04x}'" if code < 0x10000 else f"'\\U{code:08x}'"
    return f"'\\x{data[at]:02x}'"


def _text(raw: bytes) -> str:
    return re.sub("[\udc80-\udcff]", "\ufffd", raw.decode("utf-8", "surrogateescape"))


def _extra(data: bytes, at: int) -> int:
    while at < len(data):
        if data[at] in b" \t\r\n":
            at += 1
            continue
        opening = data[at : at + 2]
        if opening not in (b"//", b"/*"):
            break
        closing = b"\n" if opening == b"//" else b"*/"
        end = data.find(closing, at + 2)
        if end < 0:
            raise _StopError(len(data), "parsing comment: unexpected EOF")
        end += len(closing)
        try:
            data[at:end].decode()
        except UnicodeDecodeError as error:
            raise _StopError(at + error.start, "invalid UTF-8 in comment") from None
        at = end
    return at


def _trimmed(data: bytes, at: int) -> tuple[int, int]:
    """Read a value with the extras around it; return where it starts, and where those end."""
    start = _extra(data, at)
    return start, _extra(data, _value(data, start))


def _value(data: bytes, at: int) -> int:
    if at == len(data):
        raise _StopError(at, "parsing value: unexpected EOF")
    match data[at : at + 1]:
        case b"{":
            return _object(data, at + 1)
        case b"[":
            return _array(data, at + 1)
        case b'"':
            return _string(data, at)
    end = at
    while end < len(data) and data[end] in _RUN:
        end += 1
    raw = data[at:end]
    if not raw:
        message = f"invalid character {_quoted(data, at)} at start of value"
        raise (_CloserError if data[at] in b"]}" else _StopError)(at, message)
    if raw not in (b"true", b"false", b"null") and not _NUMBER.fullmatch(raw):
        raise _StopError(at, f"invalid literal: {_text(raw)}")
    return end


def _string(data: bytes, start: int) -> int:
    at = start + 1
    while at < len(data) and data[at : at + 1] != b'"':
        at += 2 if data[at : at + 1] == b"\\" else 1
    if at >= len(data):
        raise _StopError(len(data), "parsing string: unexpected EOF")
    raw = data[start : at + 1]
    try:
        json.loads(raw.decode())
    except ValueError:
        raise _StopError(start, f"invalid literal: {_text(raw)}") from None
    return at + 1


def _object(data: bytes, at: int) -> int:
    while True:
        try:
            start, at = _trimmed(data, at)
        except _CloserError as closer:
            if data[closer.at : closer.at + 1] == b"}" and _extra(data, at) == closer.at:
                return closer.at + 1
            raise
        if data[start : start + 1] != b'"':
            raise _StopError(
                start, f"invalid character {_quoted(data, start)} at start of object name"
            )
        if at == len(data):
            raise _StopError(at, "parsing object after name: unexpected EOF")
        if data[at : at + 1] != b":":
            raise _StopError(at, f"invalid character {_quoted(data, at)} after object name")
        at = _trimmed(data, at + 1)[1]
        if at == len(data):
            raise _StopError(at, "parsing object after value: unexpected EOF")
        match data[at : at + 1]:
            case b",":
                at += 1
            case b"}":
                return at + 1
            case _:
                where = "after object value (expecting ',' or '}')"
                raise _StopError(at, f"invalid character {_quoted(data, at)} {where}")


def _array(data: bytes, at: int) -> int:
    while True:
        try:
            _, at = _trimmed(data, at)
        except _CloserError as closer:
            if data[closer.at : closer.at + 1] == b"]" and _extra(data, at) == closer.at:
                return closer.at + 1
            raise
        if at == len(data):
            raise _StopError(at, "parsing array after value: unexpected EOF")
        match data[at : at + 1]:
            case b",":
                at += 1
            case b"]":
                return at + 1
            case _:
                where = "after array value (expecting ',' or ']')"
                raise _StopError(at, f"invalid character {_quoted(data, at)} {where}")
