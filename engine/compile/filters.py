"""Packet filters: the plan's rules merged and reduced for one node (policy reference 4.3 to 4.7).

Building the list for all nodes and then dropping entries would cost nodes times rules. Instead an
index is made once from each node to the slots that concern it, so that a node's filter costs what
it holds.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

from engine.compile.apps import AppCompiler
from engine.compile.plan import make_plan
from engine.compile.self_sources import SelfSources
from engine.netset.ranges import AddressRange
from engine.resolve.places import Locator
from engine.resolve.selectors import Resolver
from engine.rules import FilterRule, NetPortRange, Origin
from policy.model.selectors import Autogroup, Wildcard

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from engine.compile.plan import NetworkRule, Slot
    from engine.directory import Directory, DirectoryNode
    from engine.resolve.selectors import Strings
    from policy.model.document import Policy

__all__ = ["FilterCompiler"]

Key = tuple[int, tuple[int, ...] | None]
"""What rules merge by: the interned source list, and the protocols."""


Order = tuple[int, int]
"""Where something was generated: the rule's sequence number, then the slot's place."""


class _Piece(NamedTuple):
    """What one slot of one rule contributes to one node."""

    order: Order
    key: Key
    entries: tuple[NetPortRange, ...]
    origin: Origin


class _Hit(NamedTuple):
    """A slot that concerns a node."""

    rule: int
    """Index into the plan's network rules."""
    slot: int
    text: int
    """Index into the slot's literal addresses, or -1 for the node's own addresses."""


class FilterCompiler:
    """Compiles the packet filter of any node of a directory."""

    def __init__(
        self, policy: Policy, directory: Directory, before: FilterCompiler | None = None
    ) -> None:
        self.directory = directory
        self.resolver = Resolver(policy, directory)
        self.locator = Locator(directory)
        self.plan = make_plan(policy, self.resolver)
        self._self_sources = SelfSources(self.resolver)
        self._apps = AppCompiler(self.plan.apps, self.resolver, self.locator, self._self_sources)
        self._sources: list[Strings] = []
        self._source_ids: dict[Strings, int] = {}
        # Equal lists of sources are one object, in the next network too, so that comparing
        # filters costs little.
        self._known = {} if before is None else before.source_lists
        self._hits: list[list[_Hit]] = [[] for _ in directory.nodes]
        self._everywhere: list[_Hit] = []
        self._self_rules: list[tuple[int, NetworkRule, Key]] = []
        self._via_rules: dict[str, list[tuple[NetworkRule, Key]]] = {}
        self._first: dict[Key, Order] = {}
        self._keys: list[Key] = []
        self._texts: dict[tuple[int, int], tuple[tuple[NetPortRange, ...], ...]] = {}
        for index, rule in enumerate(self.plan.network):
            self._index(index, rule)
        self._known = {}

    @property
    def source_lists(self) -> dict[Strings, Strings]:
        """Each list of sources in any filter, by its value."""
        return {texts: texts for texts in self._sources}

    def compile(self, index: int) -> tuple[FilterRule, ...]:
        """Return a node's packet filter, in order; empty where nothing is allowed to it."""
        node = self.directory.nodes[index]
        own = [*self._self_pieces(node), *self._via_pieces(node)]
        first = self._first
        if own:
            first = dict(first)
            for piece in own:
                first[piece.key] = min(piece.order, first.get(piece.key, piece.order))
        pieces = sorted((*self._shared_pieces(node), *own), key=lambda p: (first[p.key], p.order))
        placed = [
            (first[key], self._merge(key, list(group)))
            for key, group in groupby(pieces, key=lambda p: p.key)
        ]
        placed.extend(self._apps.compile(node))
        placed.sort(key=lambda item: item[0])
        return tuple(rule for _, rule in placed)

    def compile_all(self) -> Iterator[tuple[DirectoryNode, tuple[FilterRule, ...]]]:
        """Yield every node with its filter, in topology order."""
        for node in self.directory.nodes:
            yield node, self.compile(node.index)

    def compile_after(
        self, before: FilterCompiler, filters: Sequence[tuple[FilterRule, ...]]
    ) -> Iterator[tuple[FilterRule, ...]]:
        """Yield every node's filter; `before` made `filters` for an earlier policy or directory.

        A filter is taken over where everything that `compile` would read is as it was.
        """
        earlier = {node.id: node for node in before.directory.nodes}
        changed = self._changed_rules(before)
        for node in self.directory.nodes:
            old = earlier.get(node.id)
            if old is not None and self._is_filtered_alike(node, before, old, changed):
                yield filters[old.index]
            else:
                yield self.compile(node.index)

    def _changed_rules(self, before: FilterCompiler) -> frozenset[int] | None:
        """Return the rules that are not what `before` has in their place; None for all of them."""
        old, new = before.plan, self.plan
        if len(old.network) != len(new.network) or old.apps or new.apps:
            return None
        changed = frozenset(
            number
            for number, (was, now) in enumerate(zip(old.network, new.network, strict=True))
            if was != now
            or before._first.get(before._keys[number]) != self._first.get(self._keys[number])
            or any(
                before._texts.get((number, place)) != self._texts.get((number, place))
                for place in range(len(now.slots))
            )
        )
        # What every node has a share in must be the same throughout.
        everywhere = {hit.rule for hit in self._everywhere}
        is_shared_alike = before._everywhere == self._everywhere and not everywhere & changed
        return changed if is_shared_alike else None

    def _is_filtered_alike(
        self,
        node: DirectoryNode,
        before: FilterCompiler,
        old: DirectoryNode,
        changed: frozenset[int] | None,
    ) -> bool:
        if changed is None or (node.tags and (self._via_rules or before._via_rules)):
            return False
        if node.user is not None and (self._self_rules or before._self_rules):
            return False
        if node is not old and replace(old, index=node.index) != node:
            return False
        hits = self._hits[node.index]
        return hits == before._hits[old.index] and not any(hit.rule in changed for hit in hits)

    def _merge(self, key: Key, pieces: list[_Piece]) -> FilterRule:
        source, protocol = key
        # One policy rule's pieces stand together: they are in order of its sequence number.
        shares: dict[Origin, int] = {}
        for piece in pieces:
            shares[piece.origin] = shares.get(piece.origin, 0) + len(piece.entries)
        return FilterRule(
            src_ips=self._sources[source],
            dst_ports=tuple(entry for piece in pieces for entry in piece.entries),
            ip_proto=protocol,
            origins=tuple(shares),
            shares=tuple(shares.values()),
        )

    def _intern(self, sources: Strings) -> int:
        found = self._source_ids.get(sources)
        if found is None:
            found = self._source_ids[sources] = len(self._sources)
            self._sources.append(self._known.get(sources, sources))
        return found

    def _index(self, index: int, rule: NetworkRule) -> None:
        key = (self._intern(rule.sources), rule.protocol)
        self._keys.append(key)
        if any(slot.is_self for slot in rule.slots) and not rule.via:
            self._self_rules.append((index, rule, key))
        if not rule.sources:
            return
        if rule.via:
            for tag in dict.fromkeys(rule.via):
                self._via_rules.setdefault(tag, []).append((rule, key))
            return
        for place, slot in enumerate(rule.slots):
            # The rule's place counts from here even for nodes to which none of its slots go.
            if not slot.is_self and self._index_slot(index, place, slot):
                self._first.setdefault(key, (rule.sequence, place))

    def _index_slot(self, rule: int, place: int, slot: Slot) -> bool:
        """Note whom a slot concerns; tell whether it stands for any address at all."""
        if isinstance(slot.selector, Wildcard):
            self._everywhere.append(_Hit(rule, place, 0))
            self._texts[rule, place] = (_entries("*", slot),)
            return True
        extent = self.resolver.extent(slot.selector)
        for index in extent.nodes:
            self._hits[index].append(_Hit(rule, place, -1))
        if extent.texts:
            self._texts[rule, place] = tuple(_entries(text, slot) for text in extent.texts)
            for number, text in enumerate(extent.texts):
                for index in self.locator.concerned(text):
                    self._hits[index].append(_Hit(rule, place, number))
        return bool(extent.nodes or extent.texts)

    def _shared_pieces(self, node: DirectoryNode) -> Iterator[_Piece]:
        rules = self.plan.network
        own = self.resolver.address_texts(node.index)
        for number, place, text in sorted((*self._hits[node.index], *self._everywhere)):
            rule = rules[number]
            if text < 0:
                slot = rule.slots[place]
                entries = tuple(
                    NetPortRange(address, ports) for address in own for ports in slot.ports
                )
            else:
                entries = self._texts[number, place][text]
            yield _Piece((rule.sequence, place), self._keys[number], entries, rule.origin)

    def _self_pieces(self, node: DirectoryNode) -> Iterator[_Piece]:
        if node.user is None:
            return
        own = self.resolver.address_texts(node.index)
        for _, rule, key in self._self_rules:
            indices = self._self_sources.nodes(rule.src, rule.postures, node.user)
            if not indices:
                continue
            texts = (text for i in indices for text in self.resolver.address_texts(i))
            sources = self._intern(tuple(sorted(texts)))
            for place, slot in enumerate(rule.slots):
                if slot.is_self:
                    entries = tuple(
                        NetPortRange(address, ports) for address in own for ports in slot.ports
                    )
                    order = (rule.sequence, place)
                    yield _Piece(order, (sources, key[1]), entries, rule.origin)

    def _via_pieces(self, node: DirectoryNode) -> Iterator[_Piece]:
        """Yield what goes to a router for its tag: only what lies on its own routes (4.7)."""
        seen: dict[int, tuple[NetworkRule, Key]] = {}
        for tag in node.tags:
            for rule, key in self._via_rules.get(tag, ()):
                seen[rule.sequence] = (rule, key)
        for sequence in sorted(seen):
            rule, key = seen[sequence]
            entries = tuple(
                entry
                for slot in rule.slots
                for text in self._steered(slot, node)
                for entry in _entries(text, slot)
            )
            if entries:
                yield _Piece((sequence, 0), key, entries, rule.origin)

    def _steered(self, slot: Slot, node: DirectoryNode) -> Iterable[str]:
        selector = slot.selector
        if isinstance(selector, Wildcard) or slot.is_self:
            return ()
        texts = self.resolver.extent(selector).texts
        if isinstance(selector, Autogroup):
            return texts if node.exit_routes else ()
        return (text for text in texts if _on_routes(text, node))


def _on_routes(text: str, node: DirectoryNode) -> bool:
    wanted = AddressRange.parse(text)
    return any(route.range.overlaps(wanted) for route in node.routes)


def _entries(text: str, slot: Slot) -> tuple[NetPortRange, ...]:
    return tuple(NetPortRange(text, ports) for ports in slot.ports)
