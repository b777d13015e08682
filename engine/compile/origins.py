"""Policy rules and where they stand."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.origin import Origin
from policy.model.ports import ANY
from policy.model.rules import Acl, AclDestination
from policy.model.selectors import Wildcard
from policy.source import Span

if TYPE_CHECKING:
    from policy.model.document import Policy
    from policy.model.rules import Grant

__all__ = ["DEFAULT_ACL", "origin_of", "rules_in_force"]

_EVERYTHING = Wildcard("*")

DEFAULT_ACL = Acl(
    position=-1,
    span=Span(0, 0),
    line=0,
    src=(_EVERYTHING,),
    dst=(AclDestination(_EVERYTHING, (ANY,)),),
    protocol=None,
    src_posture=(),
)
"""What a policy with neither acls nor grants behaves as (policy reference 4.1)."""


def rules_in_force(policy: Policy) -> tuple[Grant | Acl, ...]:
    """Return the rules to compile: grants, then acls, or the default where neither is present."""
    return (DEFAULT_ACL,) if policy.allows_everything else policy.network_rules


def origin_of(rule: Grant | Acl) -> Origin:
    """Return where a rule stands in the policy."""
    if rule is DEFAULT_ACL:
        return Origin("default", 0, 0)
    return Origin("acls" if isinstance(rule, Acl) else "grants", rule.position, rule.line)
