"""What a newer network tells its nodes otherwise than the one before it did.

The answer may be too large, never too small: whoever is not in it has been told everything. Sets
of nodes are integers, as in `engine.bits`, over the newer directory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from engine.compile.peers import primary_routes

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from engine.compile.network import CompiledNetwork
    from engine.directory import DirectoryNode

__all__ = ["Changes", "changes_between"]

_MOST_MOVES = 32
"""With more devices gone or put in between, everything counts as changed."""


class Changes(NamedTuple):
    """The nodes that something is new for."""

    views: int
    """Those with other peers, or with other addresses or routes of a peer."""
    rules: int
    """Those with another packet filter or SSH policy."""
    selves: int
    """Those with other addresses, routes or capabilities of their own."""
    origins: int = 0
    """Those with the same packet filter from other lines of the policy; none that is in `rules`."""


class _Renumbering:
    """How sets over an older directory read over a newer one."""

    def __init__(self, old: Sequence[DirectoryNode], new: Sequence[DirectoryNode]) -> None:
        before = {node.id: node.index for node in old}
        self.before = [before.get(node.id) for node in new]
        """The older index of each node, None for one that was not there."""
        kept = {index for index in self.before if index is not None}
        self._removed = [index for index in range(len(old)) if index not in kept]
        self.removed = _set_of(self._removed)
        last = max((i for i, index in enumerate(self.before) if index is not None), default=-1)
        self._inserted = [i for i in range(last) if self.before[i] is None]

    @property
    def is_small(self) -> bool:
        """Whether sets can be moved at little cost, and the order of what stayed is the same."""
        kept = [index for index in self.before if index is not None]
        moves = len(self._removed) + len(self._inserted)
        return moves <= _MOST_MOVES and kept == sorted(kept)

    def moved(self, mask: int) -> int:
        """Return an older set over the newer directory, without the nodes that are gone."""
        for index in reversed(self._removed):
            mask = mask & ((1 << index) - 1) | mask >> (index + 1) << index
        for index in self._inserted:
            mask = mask & ((1 << index) - 1) | mask >> index << (index + 1)
        return mask


def changes_between(old: CompiledNetwork, new: CompiledNetwork) -> Changes:
    """Return for which nodes of `new` something differs."""
    everyone = (1 << len(new.directory.nodes)) - 1
    numbers = _Renumbering(old.directory.nodes, new.directory.nodes)
    if not numbers.is_small:
        return Changes(everyone, everyone, everyone)
    return Changes(
        views=_views(old, new, numbers),
        rules=_rules(old, new, numbers),
        selves=_selves(old, new, numbers),
        origins=_origins(old, new, numbers),
    )


def _views(old: CompiledNetwork, new: CompiledNetwork, numbers: _Renumbering) -> int:
    shown_otherwise = _set_of(
        index
        for index, before in enumerate(numbers.before)
        if before is not None and _is_shown_otherwise(old, before, new, index)
    )
    # A node without IPv4 is shown otherwise, and it is shown all others otherwise.
    changed = _without_ipv4_changes(old, new, numbers)
    shown_otherwise |= changed
    old_rows, new_rows = old.peers.visible, new.peers.visible
    for index, before in enumerate(numbers.before):
        row = new_rows[index]
        if (
            before is None
            or row & shown_otherwise
            or old_rows[before] & numbers.removed
            or numbers.moved(old_rows[before]) != row
        ):
            changed |= 1 << index
    return changed | _route_changes(old, new, numbers)


def _is_shown_otherwise(
    old: CompiledNetwork, before: int, new: CompiledNetwork, index: int
) -> bool:
    was, now = old.directory.nodes[before], new.directory.nodes[index]
    return was is not now and (
        (was.ipv4, was.ipv6, was.routes, was.exit_routes)
        != (now.ipv4, now.ipv6, now.routes, now.exit_routes)
    )


def _without_ipv4_changes(old: CompiledNetwork, new: CompiledNetwork, numbers: _Renumbering) -> int:
    was, now = old.peers.without_ipv4, new.peers.without_ipv4
    if not was and not now:
        return 0
    return _set_of(
        index
        for index, before in enumerate(numbers.before)
        if before is not None and (before in was) != (index in now)
    )


def _route_changes(old: CompiledNetwork, new: CompiledNetwork, numbers: _Renumbering) -> int:
    changed = 0
    for index, before in enumerate(numbers.before):
        # Whoever sees a node for the first time, or saw one that is gone, is changed already.
        if before is None:
            continue
        was, now = old.peers.shown_of(before), new.peers.shown_of(index)
        otherwise = 0
        for text in was.keys() | now.keys():
            otherwise |= numbers.moved(was.get(text, 0)) ^ now.get(text, 0)
        # Routes are chosen for everybody, also for those who do not see the router.
        changed |= otherwise & new.peers.visible[index]
    return changed


def _rules(old: CompiledNetwork, new: CompiledNetwork, numbers: _Renumbering) -> int:
    old_filters, new_filters = old.packet_filters, new.packet_filters
    changed = []
    for index, before in enumerate(numbers.before):
        if before is None or old_filters[before] != new_filters[index]:
            changed.append(index)
            continue
        was, now = old.ssh_policy(before), new.ssh_policy(index)
        if was is not now and [r.told for r in was] != [r.told for r in now]:
            changed.append(index)
    return _set_of(changed)


def _origins(old: CompiledNetwork, new: CompiledNetwork, numbers: _Renumbering) -> int:
    old_filters, new_filters = old.packet_filters, new.packet_filters
    return _set_of(
        index
        for index, before in enumerate(numbers.before)
        if before is not None
        and old_filters[before] is not new_filters[index]
        and old_filters[before] == new_filters[index]
        and any(
            (was.origins, was.shares) != (now.origins, now.shares)
            for was, now in zip(old_filters[before], new_filters[index], strict=True)
        )
    )


def _selves(old: CompiledNetwork, new: CompiledNetwork, numbers: _Renumbering) -> int:
    old_primary, new_primary = primary_routes(old.directory), primary_routes(new.directory)
    old_maps, new_maps = old.capabilities, new.capabilities
    is_general = old_maps.general != new_maps.general
    changed = _set_of(
        index
        for index, before in enumerate(numbers.before)
        if is_general
        or before is None
        or _is_shown_otherwise(old, before, new, index)
        or old_primary.get(before) != new_primary.get(index)
        or old_maps.own(before) != new_maps.own(index)
    )
    return changed | _without_ipv4_changes(old, new, numbers)


def _set_of(indices: Iterable[int]) -> int:
    found = bytearray()
    for index in indices:
        byte, bit = index >> 3, 1 << (index & 7)
        if byte >= len(found):
            found.extend(bytes(byte + 1 - len(found)))
        found[byte] |= bit
    return int.from_bytes(found, "little")
