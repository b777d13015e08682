"""What one node may reach: the rules of all other nodes' filters, narrowed to it as the source.

Worked out when a node asks. Nothing about other sources is in the answer.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple

from engine.netset.ranges import parse_ranges
from engine.rules import OWN_ADDRESS, NetPortRange

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.directory import Directory, DirectoryNode
    from engine.resolve.selectors import Strings
    from engine.rules import FilterRule

__all__ = ["Reach", "reach_of"]

_PLURAL: Final = frozenset("/-*")
"""A source with one of these characters stands for more than one address."""


class Reach(NamedTuple):
    """Some nodes let one node in by the same rule."""

    nodes: tuple[int, ...]
    """Indices of the receivers, ascending."""
    rule: FilterRule
    """Its sources are the asking node's addresses; destinations may be `OWN_ADDRESS`."""


def reach_of(
    directory: Directory, filters: Sequence[tuple[FilterRule, ...]], index: int
) -> tuple[Reach, ...]:
    """Return what the node at an index may reach, in order of the first receiver of each rule.

    `filters` are those of all nodes, in topology order. Addresses behind the node, as those of a
    subnet that it routes, do not count as its own.
    """
    asking = directory.nodes[index]
    # Filters share their source lists, which may be long: each is looked into once.
    narrowed: dict[int, Strings] = {}
    receivers: dict[tuple[object, ...], list[int]] = {}
    rules: dict[tuple[object, ...], FilterRule] = {}
    for node, held in zip(directory.nodes, filters, strict=True):
        if node.index == index:
            continue
        addresses: dict[str, str] | None = None
        for rule in held:
            if not rule.dst_ports:
                continue
            own = narrowed.get(id(rule.src_ips))
            if own is None:
                own = narrowed[id(rule.src_ips)] = _own_sources(rule.src_ips, asking)
            if not own:
                continue
            if addresses is None:
                addresses = {str(each): OWN_ADDRESS[each.version] for each in node.addresses}
            entries = tuple(
                NetPortRange(addresses.get(ip, ip), ports) for ip, ports in rule.dst_ports
            )
            key = (own, entries, rule.ip_proto, rule.origins, rule.shares)
            known = receivers.get(key)
            if known is None:
                receivers[key] = [node.index]
                rules[key] = replace(rule, src_ips=own, dst_ports=entries)
            elif known[-1] != node.index:
                known.append(node.index)
    # A rule's order within one filter cannot matter: all of them allow.
    return tuple(Reach(tuple(nodes), rules[key]) for key, nodes in receivers.items())


def _own_sources(sources: Strings, node: DirectoryNode) -> Strings:
    own = {str(address): address for address in node.addresses}
    found = own.keys() & set(sources)
    for text in sources:
        if not _PLURAL.isdisjoint(text) and not text.startswith("cap:"):
            spans = parse_ranges(text)
            found |= {
                name
                for name, address in own.items()
                if any(span.contains(address.version, address.value) for span in spans)
            }
    return tuple(sorted(found))
