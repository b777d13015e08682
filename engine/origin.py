"""Where in the policy something comes from, in plain values that can travel to a node."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Origin"]


class Origin(NamedTuple):
    """The policy rule that something compiled from."""

    section: str
    """`acls`, `grants`, `ssh` or `default` (no section present: allow all)."""
    position: int
    """Place in the section, from 0."""
    line: int
    """Line of the rule's opening bracket in the policy text, from 1; 0 when there is no text."""
