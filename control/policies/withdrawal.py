"""Taking back what only the policy approved, once it no longer does (policy reference 5.5).

The service leaves such routes approved until somebody looks. Here a policy, a tag or a group that
is taken away takes effect on routes as it does on rules; what a person approved stays.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from control.registry.routes import still_approved

if TYPE_CHECKING:
    from control.registry.ledger import Ledger
    from control.registry.routes import AutoApproved

__all__ = ["withdraw_routes"]


async def withdraw_routes(ledger: Ledger, auto_approved: AutoApproved) -> None:
    """Ask the policy again about every route that it approved by itself."""
    holders = [node for node in ledger.tailnet if node.policy_routes]
    changed = [(node, still_approved(node, auto_approved)) for node in holders]
    changed = [(before, after) for before, after in changed if after is not before]
    if not changed:
        return
    async with ledger.transaction("policy") as transaction:
        for before, after in changed:
            await transaction.save_node(after, before)
            gone = [str(r) for r in before.policy_routes if r not in after.policy_routes]
            await transaction.audit("node.routes.withdraw", f"node:{before.id}", routes=gone)
