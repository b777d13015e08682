"""Advice on a policy that is valid: what is legal and seldom meant."""

from __future__ import annotations

from typing import TYPE_CHECKING

from policy.diagnostics.diagnostic import Diagnostic, Severity
from policy.source import Span

if TYPE_CHECKING:
    from collections.abc import Iterator

    from policy.hujson.tree import Node
    from policy.model.document import Policy

__all__ = ["advice"]


def advice(policy: Policy, root: Node | None) -> Iterator[Diagnostic]:
    """Yield warnings about the whole of a policy."""
    if policy.allows_everything:
        start = root.start if root is not None else 0
        yield Diagnostic(
            "POL601",
            Severity.WARNING,
            "neither acls nor grants: every device may reach every other",
            policy.source,
            Span(start, min(start + 1, len(policy.source.text))),
            'write `"acls": []` to allow nothing, or a rule that says what is meant',
        )
