"""Who asks the policy for tags and routes, as the engine wants to know it.

The answers are the engine's (`engine.compile.approval`); here rows become applicants.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.compile import approval
from engine.compile.approval import Applicant
from engine.netset.prefix import Prefix as EnginePrefix

if TYPE_CHECKING:
    from collections.abc import Iterable

    from control.store.records import NodeRecord, UserRecord
    from control.wire import Prefix
    from policy.model.document import Policy

__all__ = ["approved_routes", "group_names", "may_tag"]


def may_tag(policy: Policy, user: UserRecord, tag: str) -> bool:
    """Return whether a user may put a tag on a node of theirs."""
    return approval.may_tag(policy, _person(user), tag)


def approved_routes(
    policy: Policy, node: NodeRecord, user: UserRecord | None, routes: Iterable[Prefix]
) -> tuple[Prefix, ...]:
    """Return those of a node's routes that the policy approves by itself; `user` owns the node."""
    applicant = Applicant(tags=node.tags)
    if user is not None and not node.tags:
        applicant = _person(user)
    spelled = {
        EnginePrefix(route.version, int(route.network_address), route.prefixlen): route
        for route in routes
    }
    return tuple(spelled[found] for found in approval.approved_routes(policy, applicant, spelled))


def group_names(user: UserRecord) -> frozenset[str]:
    """Return a user's groups of the identity provider as the policy spells them."""
    return frozenset(f"group:{name}" for name in user.groups)


def _person(user: UserRecord) -> Applicant:
    return Applicant(login=user.login_name, role=user.role.value, groups=group_names(user))
