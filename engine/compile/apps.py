"""Application grants: CapGrant rules and their companions in the other direction (4.6)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.compile.plan import COMPANIONS
from engine.netset.address import BITS
from engine.netset.ranges import AddressRange
from engine.rules import CapGrant, FilterRule
from policy.model.selectors import Selector, Wildcard

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from engine.compile.plan import AppRule
    from engine.compile.self_sources import SelfSources
    from engine.directory import DirectoryNode
    from engine.resolve.places import Locator
    from engine.resolve.selectors import Resolver, Strings

__all__ = ["AppCompiler"]

Placed = tuple[tuple[int, int], FilterRule]
"""A rule and its place in the node's list."""


class AppCompiler:
    """Compiles the CapGrant rules of any node."""

    def __init__(
        self,
        rules: tuple[AppRule, ...],
        resolver: Resolver,
        locator: Locator,
        self_sources: SelfSources,
    ) -> None:
        self._rules = [rule for rule in rules if not rule.via]
        self._resolver = resolver
        self._locator = locator
        self._self_sources = self_sources
        self._concerned: list[list[int]] = [[] for _ in resolver.directory.nodes]
        self._everywhere: list[int] = []
        self._companion_sources: dict[int, Strings] = {}
        for number, rule in enumerate(self._rules):
            self._index(number, rule)

    def _index(self, number: int, rule: AppRule) -> None:
        """Note which nodes a rule may concern, as destination or, for companions, as source."""
        selectors = [*rule.dst, *(rule.src if _companions(rule) else ())]
        if any(isinstance(s, Wildcard) or s.is_self or s.is_anyone for s in selectors):
            self._everywhere.append(number)
            return
        concerned: set[int] = set()
        for selector in selectors:
            extent = self._resolver.extent(selector)
            concerned.update(extent.nodes)
            for text in extent.texts:
                concerned.update(self._locator.concerned(text))
        for index in concerned:
            self._concerned[index].append(number)

    def compile(self, node: DirectoryNode) -> Iterator[Placed]:
        """Yield the rules that concern a node, with their places."""
        for number in sorted((*self._concerned[node.index], *self._everywhere)):
            yield from self._compile(number, self._rules[number], node)

    def _compile(self, number: int, rule: AppRule, node: DirectoryNode) -> Iterator[Placed]:
        elements = (self._destinations(selector, node) for selector in rule.dst)
        grants = tuple(CapGrant(dsts, rule.capabilities) for dsts in elements if dsts)
        if grants:
            yield (rule.sequence, 0), self._rule(rule.sources, grants, rule)
        reaches_self = any(selector.is_self for selector in rule.dst)
        companions = _companions(rule)
        if companions and any(not selector.is_self for selector in rule.dst):
            yield from self._companion_rules(number, rule, node, companions)
        if reaches_self and node.user is not None:
            yield from self._self_rules(rule, node, companions)

    def _companion_rules(
        self, number: int, rule: AppRule, node: DirectoryNode, companions: list[str]
    ) -> Iterator[Placed]:
        dsts = self._own_as_source(rule, node)
        sources = self._sources_of_destinations(number, rule)
        if not dsts or not sources:
            return
        for place, name in enumerate(companions, start=2):
            grant = CapGrant(dsts, {name: None})
            yield (rule.sequence, place), self._rule(sources, (grant,), rule)

    def _self_rules(
        self, rule: AppRule, node: DirectoryNode, companions: list[str]
    ) -> Iterator[Placed]:
        login = node.user or ""
        allowed = self._self_sources.nodes(rule.src, rule.postures, login)
        if not allowed:
            return
        own = _hosts(node)
        grant = CapGrant(own, rule.capabilities)
        yield (rule.sequence, 1), self._rule(self._texts(allowed), (grant,), rule)
        if node.index not in allowed:
            return
        mine = self._texts(self._resolver.directory.by_user.get(login, ()))
        for place, name in enumerate(companions, start=4):
            grant = CapGrant(own, {name: None})
            yield (rule.sequence, place), self._rule(mine, (grant,), rule)

    def _destinations(self, selector: Selector, node: DirectoryNode) -> Strings:
        """Narrow one destination to a node; empty where it does not concern it."""
        if selector.is_self:
            return ()
        if isinstance(selector, Wildcard):
            return _hosts(node)
        extent = self._resolver.extent(selector)
        if not extent.texts:
            return _hosts(node) if node.index in extent.nodes else ()
        ranges = [(text, AddressRange.parse(text)) for text in extent.texts]
        own = tuple(
            _host(str(address), address.version)
            for address in node.addresses
            if any(wanted.contains(*address) for _, wanted in ranges)
        )
        routed = tuple(
            _with_length(text, wanted)
            for text, wanted in ranges
            if any(route.range.overlaps(wanted) for route in node.routes)
        )
        return (*own, *routed)

    def _own_as_source(self, rule: AppRule, node: DirectoryNode) -> Strings:
        """Return the node's addresses as far as the grant's sources hold them."""
        if not self._resolver.passes(node.index, rule.postures):
            return ()
        spelled: list[AddressRange] = []
        for selector in rule.src:
            if isinstance(selector, Wildcard) or selector.is_anyone:
                return _hosts(node)
            extent = self._resolver.extent(selector)
            if node.index in extent.nodes:
                return _hosts(node)
            spelled.extend(AddressRange.parse(text) for text in extent.texts)
        # In the device's own order, IPv4 first, whatever that of the sources.
        return tuple(
            _host(str(address), address.version)
            for address in node.addresses
            if any(wanted.contains(*address) for wanted in spelled)
        )

    def _sources_of_destinations(self, number: int, rule: AppRule) -> Strings:
        sources = self._companion_sources.get(number)
        if sources is None:
            selectors = [selector for selector in rule.dst if not selector.is_self]
            sources = self._companion_sources[number] = self._resolver.sources(selectors, ())
        return sources

    def _texts(self, indices: Iterable[int]) -> Strings:
        return tuple(sorted(t for i in indices for t in self._resolver.address_texts(i)))

    @staticmethod
    def _rule(sources: Strings, grants: tuple[CapGrant, ...], rule: AppRule) -> FilterRule:
        return FilterRule(src_ips=sources, cap_grants=grants, origins=(rule.origin,))


def _companions(rule: AppRule) -> list[str]:
    return [companion for granted, companion in COMPANIONS if granted in rule.capabilities]


def _host(text: str, version: int) -> str:
    return f"{text}/{BITS[version]}"


def _hosts(node: DirectoryNode) -> Strings:
    return tuple(_host(str(address), address.version) for address in node.addresses)


def _with_length(text: str, wanted: AddressRange) -> str:
    return text if "/" in text else _host(text, wanted.version)
