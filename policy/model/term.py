"""A string of the policy together with the place where it is written."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from policy.source import Span

__all__ = ["Term"]


class Term(NamedTuple):
    """A string, trimmed of spaces and TABs, and its place inside the quotes."""

    text: str
    span: Span
