"""Nodes: renamed, tagged, expired, approved, deleted; their routes approved."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from control.errors import AlreadyExistsError, InvalidRequestError, NotFoundError
from control.registry.names import check_label
from control.registry.routes import approved_by_person

if TYPE_CHECKING:
    from datetime import datetime

    from control.identity.registrar import Registrar
    from control.policies.keeper import PolicyKeeper
    from control.registry.ledger import Ledger
    from control.store.records import NodeRecord
    from control.wire import Prefix

__all__ = [
    "approve_node",
    "approve_routes",
    "check_tags",
    "delete_node",
    "expire_node",
    "rename_node",
    "tag_node",
    "the_node",
]


def the_node(ledger: Ledger, node_id: int) -> NodeRecord:
    """Return a node; raises NotFoundError."""
    node = ledger.tailnet.node(node_id)
    if node is None:
        raise NotFoundError(f"there is no node {node_id}; `postern control nodes list` shows all")
    return node


async def rename_node(
    ledger: Ledger, actor: str, node_id: int, name: str, *, domain: str
) -> NodeRecord:
    """Give a node a name of its own; raises InvalidRequestError or AlreadyExistsError."""
    check_label(name, domain)
    holder = ledger.tailnet.node_by_name(name)
    if holder is not None and holder.id != node_id:
        raise AlreadyExistsError(f"node {holder.id} is called {name!r} already")
    changed = replace(the_node(ledger, node_id), given_name=name, is_renamed=True)
    return await _save(ledger, actor, changed, "node.rename", name=name)


async def tag_node(
    ledger: Ledger, keeper: PolicyKeeper, actor: str, node_id: int, tags: tuple[str, ...]
) -> NodeRecord:
    """Put exactly these tags on a node, which then belongs to no user and never expires."""
    if not tags:
        raise InvalidRequestError("at least one tag is needed: a tagged node has no other owner")
    check_tags(keeper, tags)
    changed = replace(
        the_node(ledger, node_id), tags=tuple(sorted(set(tags))), user_id=None, expires_at=None
    )
    return await _save(ledger, actor, changed, "node.tag", tags=list(changed.tags))


def check_tags(keeper: PolicyKeeper, tags: tuple[str, ...]) -> None:
    """Raise InvalidRequestError for tags that the policy in force does not know."""
    known = keeper.in_force.policy.tag_owners
    for tag in tags:
        if not tag.startswith("tag:"):
            raise InvalidRequestError(f"tag {tag!r}: tags are written tag:NAME")
        if tag not in known:
            raise InvalidRequestError(f"tag {tag!r} is not in the policy's tagOwners; add it there")


async def expire_node(
    ledger: Ledger, actor: str, node_id: int, expires_at: datetime | None
) -> NodeRecord:
    """Set the end of a node key's life; None never ends it."""
    changed = replace(the_node(ledger, node_id), expires_at=expires_at)
    at = None if expires_at is None else expires_at.isoformat()
    return await _save(ledger, actor, changed, "node.expire", at=at)


async def approve_routes(
    ledger: Ledger, actor: str, node_id: int, routes: tuple[Prefix, ...]
) -> NodeRecord:
    """Approve exactly these routes, whether or not the node advertises them now."""
    changed = approved_by_person(the_node(ledger, node_id), routes)
    texts = [str(route) for route in changed.approved_routes]
    return await _save(ledger, actor, changed, "node.routes", routes=texts)


async def approve_node(ledger: Ledger, actor: str, node_id: int) -> NodeRecord:
    """Let a node take part that waited for it."""
    changed = replace(the_node(ledger, node_id), is_authorized=True)
    return await _save(ledger, actor, changed, "node.authorize")


async def delete_node(ledger: Ledger, registrar: Registrar, actor: str, node_id: int) -> None:
    """Delete a node; its addresses and name are free, and it is told to log in again."""
    node = the_node(ledger, node_id)
    async with ledger.transaction(actor) as transaction:
        await transaction.delete_node(node)
        await transaction.audit("node.delete", f"node:{node_id}", name=node.given_name)
    registrar.release(node)


async def _save(
    ledger: Ledger, actor: str, changed: NodeRecord, action: str, **details: object
) -> NodeRecord:
    before = the_node(ledger, changed.id)
    async with ledger.transaction(actor) as transaction:
        await transaction.save_node(changed, before)
        await transaction.audit(action, f"node:{changed.id}", **details)
    return the_node(ledger, changed.id)
