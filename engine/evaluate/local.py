"""Which destinations a node answers for (policy reference 9.3, first step)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.netset import IpSet
from engine.netset.constants import LINK_LOCAL, MULTICAST, PRIVATE_V4, TAILNET

if TYPE_CHECKING:
    from collections.abc import Iterable

    from engine.netset import Address, Prefix

__all__ = ["local_destinations"]

_NEVER_THROUGH_AN_EXIT = IpSet.of_prefixes([*PRIVATE_V4, *TAILNET, *LINK_LOCAL, *MULTICAST])


def local_destinations(
    addresses: Iterable[Address], routes: Iterable[Prefix], lan: Iterable[Prefix] = ()
) -> IpSet:
    """Return the destinations that a node takes packets for.

    `addresses` are its own and those of the services it hosts, `routes` the approved ones that it
    serves, `lan` the prefixes on its other interfaces. An exit route stands for the public
    internet only: a client of it must not reach what merely happens to surround the exit node.
    """
    served = list(routes)
    subnets = IpSet.of_prefixes(route for route in served if not route.is_default)
    exits = IpSet.of_prefixes(route for route in served if route.is_default)
    public = exits - _NEVER_THROUGH_AN_EXIT - IpSet.of_prefixes(lan)
    return IpSet.of_addresses(addresses) | subnets | public
