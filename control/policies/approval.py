"""What the policy lets owners of nodes do: put tags on them, and have their routes approved.

These questions are about users and single nodes, so they are answered from the document itself,
without compiling anything (policy reference 2.4, 5.5).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from control.mapper.network import EXIT_ROUTES
from policy.model.selectors import Autogroup, DomainUsers, Group, Selector, Tag, User, Wildcard

if TYPE_CHECKING:
    from collections.abc import Iterable

    from control.store.records import NodeRecord, UserRecord
    from control.wire import Prefix
    from policy.model.document import Policy

__all__ = ["approved_routes", "may_tag"]

_MAY_TAG_ALWAYS = frozenset({"owner", "admin", "network-admin"})


def may_tag(policy: Policy, user: UserRecord, tag: str) -> bool:
    """Return whether a user may put a tag on a node of theirs."""
    return _owns_tag(policy, user, tag, seen=set())


def _owns_tag(policy: Policy, user: UserRecord, tag: str, seen: set[str]) -> bool:
    definition = policy.tag_owners.get(tag)
    if definition is None or tag in seen:
        return False
    seen.add(tag)
    if not definition.owners:
        return user.role.value in _MAY_TAG_ALWAYS
    return any(
        _owns_tag(policy, user, owner.text, seen)
        if isinstance(owner, Tag)
        else _is_user(policy, owner, user)
        for owner in definition.owners
    )


def approved_routes(
    policy: Policy, node: NodeRecord, user: UserRecord | None
) -> tuple[Prefix, ...]:
    """Return those advertised routes that the policy approves by itself.

    Exit routes are approved as such only: a broad subnet entry does not make an exit node.
    """
    approvers = policy.auto_approvers
    approved = []
    for route in node.hostinfo.routable_ips:
        if route in EXIT_ROUTES:
            is_approved = _is_any(policy, approvers.exit_node, node, user)
        else:
            is_approved = any(
                route.version == entry.network.version
                and _contains(entry.network, route)
                and _is_any(policy, entry.approvers, node, user)
                for entry in approvers.routes
            )
        if is_approved:
            approved.append(route)
    return tuple(approved)


def _contains(outer: Prefix, inner: Prefix) -> bool:
    return outer.prefixlen <= inner.prefixlen and inner.network_address in outer


def _is_any(
    policy: Policy, selectors: Iterable[Selector], node: NodeRecord, user: UserRecord | None
) -> bool:
    return any(_is_node(policy, selector, node, user) for selector in selectors)


def _is_node(policy: Policy, selector: Selector, node: NodeRecord, user: UserRecord | None) -> bool:
    match selector:
        case Tag():
            return selector.text in node.tags
        case Autogroup(name="tagged"):
            return bool(node.tags)
        case _:
            return not node.tags and user is not None and _is_user(policy, selector, user)


def _is_user(policy: Policy, selector: Selector, user: UserRecord) -> bool:
    match selector:
        case Wildcard() | Autogroup(name="member"):
            return True
        case User():
            return selector.text == user.login_name
        case DomainUsers():
            return user.login_name.endswith(f"@{selector.domain}")
        case Group():
            definition = policy.groups.get(selector.text)
            if definition is not None:
                return user.login_name in definition.members
            return selector.text in {f"group:{g.removeprefix('group:')}" for g in user.groups}
        case Autogroup(name="admin"):
            return user.role.value in {"admin", "owner"}
        case Autogroup(name=role):
            return user.role.value == role
        case _:
            return False
