"""Addresses that nodes lack, after a family was switched on or off."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from ipaddress import IPv4Address, IPv6Address

    from control.registry.addresses import AddressPool
    from control.registry.ledger import Ledger
    from control.store.records import NodeRecord

__all__ = ["Pools", "backfill"]


class Pools(NamedTuple):
    """Where addresses come from; None for a family that is switched off."""

    ipv4: AddressPool[IPv4Address] | None
    ipv6: AddressPool[IPv6Address] | None


async def backfill(ledger: Ledger, pools: Pools, actor: str) -> list[str]:
    """Give every node an address of each family that is on, and take those of the others.

    Returns a sentence for each change. Raises AddressesExhaustedError, and then changes nothing.
    """
    changed: list[tuple[NodeRecord, NodeRecord]] = []
    try:
        for node in ledger.tailnet.nodes:
            ipv4, ipv6 = node.ipv4, node.ipv6
            if pools.ipv4 is None or ipv4 is None:
                ipv4 = None if pools.ipv4 is None else pools.ipv4.take()
            if pools.ipv6 is None or ipv6 is None:
                ipv6 = None if pools.ipv6 is None else pools.ipv6.take()
            after = replace(node, ipv4=ipv4, ipv6=ipv6)
            if after != node:
                changed.append((node, after))
        async with ledger.transaction(actor) as transaction:
            for before, after in changed:
                await transaction.save_node(after, before)
                await transaction.audit(
                    "node.addresses", f"node:{after.id}", addresses=list(map(str, after.addresses))
                )
    except BaseException:
        for before, after in changed:
            _give_back(pools, after, but=before)
        raise
    return [_sentence(before, after) for before, after in changed]


def _give_back(pools: Pools, after: NodeRecord, *, but: NodeRecord) -> None:
    if pools.ipv4 is not None and after.ipv4 is not None and after.ipv4 != but.ipv4:
        pools.ipv4.free(after.ipv4)
    if pools.ipv6 is not None and after.ipv6 is not None and after.ipv6 != but.ipv6:
        pools.ipv6.free(after.ipv6)


def _sentence(before: NodeRecord, after: NodeRecord) -> str:
    had, has = set(before.addresses), set(after.addresses)
    given = [f"gets {ip}" for ip in after.addresses if ip not in had]
    taken = [f"loses {ip}" for ip in before.addresses if ip not in has]
    return f"node {after.id} ({after.given_name}) {', '.join((*given, *taken))}"
