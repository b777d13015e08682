"""What the policy consents to for one device: routes without approval by hand, and tags.

These are questions about single devices at the moment when they ask (policy reference 2.4, 5.5):
nothing is compiled, and a later change of the policy neither approves nor revokes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from engine.netset.prefix import Prefix
from policy.model.selectors import Autogroup, DomainUsers, Group, Selector, Tag, User, Wildcard

if TYPE_CHECKING:
    from collections.abc import Iterable

    from policy.model.document import Policy

__all__ = ["Applicant", "approved_routes", "approves_service", "may_tag"]

_MAY_ASSIGN_ANY_TAG = frozenset({"owner", "admin", "network-admin"})


class Applicant(NamedTuple):
    """A device that asks. Its user counts only while it has no tags."""

    tags: tuple[str, ...] = ()
    login: str | None = None
    role: str = "member"
    groups: frozenset[str] = frozenset()
    """Groups of the identity provider, with their `group:` prefix."""


def approved_routes(
    policy: Policy, applicant: Applicant, advertised: Iterable[Prefix]
) -> tuple[Prefix, ...]:
    """Return those advertised routes that the policy approves by itself.

    A subnet route lies inside an entry of `routes`; an exit route is approved through `exitNode`
    alone, however broad the entries of `routes` are.
    """
    approvers = policy.auto_approvers
    covering = [(Prefix.parse(str(e.network)), e.approvers) for e in approvers.routes]
    return tuple(
        route
        for route in advertised
        if (
            _is_any(policy, approvers.exit_node, applicant)
            if route.is_default
            else any(
                outer.covers(route) and _is_any(policy, selectors, applicant)
                for outer, selectors in covering
            )
        )
    )


def approves_service(policy: Policy, applicant: Applicant, service: str) -> bool:
    """Tell whether a device may host a service without approval by hand."""
    return any(
        entry.service == service and _is_any(policy, entry.approvers, applicant)
        for entry in policy.auto_approvers.services
    )


def may_tag(policy: Policy, applicant: Applicant, tag: str) -> bool:
    """Tell whether whoever stands behind a request may put a tag on a device.

    Ownership is one hop: a tag as owner speaks for devices that carry it, not for its own owners.
    """
    definition = policy.tag_owners.get(tag)
    if definition is None:
        return False
    if not applicant.tags and applicant.role in _MAY_ASSIGN_ANY_TAG:
        return True
    return _is_any(policy, definition.owners, applicant)


def _is_any(policy: Policy, selectors: Iterable[Selector], applicant: Applicant) -> bool:
    return any(_is(policy, selector, applicant) for selector in selectors)


def _is(policy: Policy, selector: Selector, applicant: Applicant) -> bool:
    if isinstance(selector, Tag):
        return selector.text in applicant.tags
    if isinstance(selector, Autogroup) and selector.name == "tagged":
        return bool(applicant.tags)
    if applicant.tags or applicant.login is None:
        return False
    return _is_user(policy, selector, applicant, applicant.login)


def _is_user(policy: Policy, selector: Selector, applicant: Applicant, login: str) -> bool:
    match selector:
        case Wildcard():
            return True
        case User():
            return selector.text == login
        case DomainUsers():
            return login.endswith(f"@{selector.domain}")
        case Group() if selector.text in policy.groups:
            return login in policy.groups[selector.text].members
        case Group():
            return selector.text in applicant.groups
        case Autogroup() if selector.name == "member":
            return True
        case Autogroup() if selector.name == "admin":
            return applicant.role in {"admin", "owner"}
        case Autogroup():
            return applicant.role == selector.name
        case _:
            return False
