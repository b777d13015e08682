"""What a change of policy gives and takes on a whole tailnet."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from engine.compile.network import CompiledNetwork
from engine.difference.filters import Services, filter_difference
from engine.difference.logins import LoginChange, login_changes
from engine.evaluate.clauses import ClauseReader
from engine.evaluate.local import local_destinations
from engine.netset.address import V4
from engine.netset.ipset import IpSet
from engine.netset.prefix import Prefix

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from engine.difference.filters import Box
    from engine.directory import Directory, DirectoryNode
    from engine.origin import Origin
    from policy.model.document import Policy

__all__ = ["AccessChange", "Difference", "LoginChange", "difference"]


class AccessChange(NamedTuple):
    """Access that a change of policy adds or removes: every source to every destination."""

    is_added: bool
    receiver: int
    """Index of the node whose filter decides."""
    sources: IpSet
    destinations: IpSet
    """Of the receiver's own addresses and of what it routes."""
    services: Services
    origins: tuple[Origin, ...]
    """Rules that allow it, of the new policy if it is added, else of the old one."""


class Difference(NamedTuple):
    """Everything that differs. What neither policy lets through, or both do, is in none of it."""

    directory: Directory
    access: tuple[AccessChange, ...]
    logins: tuple[LoginChange, ...]
    """Of SSH."""

    @property
    def is_empty(self) -> bool:
        """Whether the two policies allow the same."""
        return not (self.access or self.logins)


def difference(old: Policy, new: Policy, directory: Directory) -> Difference:
    """Compare two policies on one tailnet.

    Raises MalformedRuleError where a capability's destination cannot be read.
    """
    before, after = CompiledNetwork(old, directory), CompiledNetwork(new, directory)
    reader = ClauseReader()
    access: list[AccessChange] = []
    logins: list[LoginChange] = []
    filters = zip(before.packet_filters, after.packet_filters, strict=True)
    for node, (old_rules, new_rules) in zip(directory.nodes, filters, strict=True):
        if old_rules != new_rules:
            local = _local(node, directory)
            access.extend(_changes(node, local, filter_difference(old_rules, new_rules, reader)))
        if old.ssh or new.ssh:
            logins.extend(
                login_changes(
                    node.index, before.ssh_policy(node.index), after.ssh_policy(node.index)
                )
            )
    return Difference(directory, tuple(access), tuple(logins))


def _local(node: DirectoryNode, directory: Directory) -> IpSet:
    """Return what a node takes packets for; which services it hosts, its filter says."""
    services = [ip for addresses in directory.settings.services.values() for ip in addresses]
    routes = [*(route.text for route in node.routes), *node.exit_routes]
    return local_destinations([*node.addresses, *services], map(Prefix.parse, routes))


def _changes(node: DirectoryNode, local: IpSet, boxes: Iterable[Box]) -> Iterator[AccessChange]:
    for box in boxes:
        sources, destinations = (
            IpSet(v4=bounds) if box.version == V4 else IpSet(v6=bounds)
            for bounds in (box.sources, box.destinations)
        )
        reached = destinations & local
        if reached:
            yield AccessChange(
                box.is_added, node.index, sources, reached, box.services, box.origins
            )
