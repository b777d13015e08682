"""Where in a policy the rules stand that something compiled from."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.rules import Origin
    from policy.model.document import Policy
    from policy.source import Span

__all__ = ["rule_span"]


def rule_span(policy: Policy, origin: Origin) -> Span | None:
    """Return the place of a rule; None for the default of allowing everything."""
    sections = {"acls": policy.acls, "grants": policy.grants, "ssh": policy.ssh}
    rules = sections.get(origin.section)
    return rules[origin.position].span if rules else None
