"""Which routes of a node are approved, and by whom.

An approval stays until a person takes it back, whatever a later policy says; what only the policy
approved goes with the owner whom it approved it for (policy reference 5.5).

INVARIANT: `policy_routes` of a record is part of its `approved_routes`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from control.store.records import NodeRecord
    from control.wire import Prefix

    AutoApproved = Callable[[NodeRecord, Iterable[Prefix]], tuple[Prefix, ...]]

__all__ = ["after_report", "approved_by_person", "new_owner"]


def after_report(old: NodeRecord, new: NodeRecord, auto_approved: AutoApproved) -> NodeRecord:
    """Return `new` with its routes approved, as it advertises them now.

    The policy is asked about routes that were not advertised before, and about no others: a later
    policy approves nothing by itself (policy reference 5.5).
    """
    known = set(old.hostinfo.routable_ips)
    fresh = [route for route in new.hostinfo.routable_ips if route not in known]
    return _with_policy_routes(new, auto_approved(new, fresh))


def new_owner(node: NodeRecord, auto_approved: AutoApproved) -> NodeRecord:
    """Return a node that has another owner now: what the policy gave the old one is gone."""
    kept = _without(node, set(node.policy_routes))
    return _with_policy_routes(kept, auto_approved(kept, kept.hostinfo.routable_ips))


def approved_by_person(node: NodeRecord, routes: Iterable[Prefix]) -> NodeRecord:
    """Return the node with exactly these routes approved, by somebody's own word."""
    return replace(node, approved_routes=tuple(dict.fromkeys(routes)), policy_routes=())


def _with_policy_routes(node: NodeRecord, routes: Iterable[Prefix]) -> NodeRecord:
    added = tuple(route for route in dict.fromkeys(routes) if route not in node.approved_routes)
    if not added:
        return node
    return replace(
        node,
        approved_routes=(*node.approved_routes, *added),
        policy_routes=(*node.policy_routes, *added),
    )


def _without(node: NodeRecord, lost: set[Prefix]) -> NodeRecord:
    if not lost:
        return node
    return replace(
        node,
        approved_routes=tuple(route for route in node.approved_routes if route not in lost),
        policy_routes=tuple(route for route in node.policy_routes if route not in lost),
    )
