"""The rules as tests read them, and the oracle that knows an inventory (policy reference 8.1).

Tests look at the rules before they are reduced for a node: `autogroup:self` and `via` take no
part, and a rule with a posture applies only where the test's own attributes pass it.
"""

from __future__ import annotations

from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

from engine.bits import members
from engine.compile.openings import Opening, openings_of
from engine.compile.origins import origin_of, rules_in_force
from engine.evaluate.axis import Axis
from engine.netset.address import V4, V6, Address
from engine.netset.constants import ANY_SET, WILDCARD_SOURCE_SET
from engine.netset.ipset import IpSet
from engine.resolve.posture import satisfies_any
from engine.resolve.selectors import Resolver
from engine.testing.oracle import Question, Reach
from engine.testing.samples import PortSamples
from policy.model.rules import Acl
from policy.model.selectors import Autogroup, Cidr, HostAlias, IpSetName, Wildcard

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.directory import Directory
    from engine.origin import Origin
    from policy.model.document import Policy
    from policy.model.selectors import Selector

__all__ = ["AccessOracle"]


class _Rule(NamedTuple):
    """What tests ask of a rule."""

    origin: Origin
    postures: tuple[str, ...]
    openings: tuple[Opening, ...]
    own: tuple[Opening, ...]
    """Openings on `autogroup:self`."""


class AccessOracle:
    """Answers from the rules of one policy and one inventory.

    Sets of rules are integers, as in `engine.bits`. Only what a test asks about is worked out: a
    large tailnet has few tests for its size.
    """

    def __init__(self, policy: Policy, directory: Directory) -> None:
        self._policy = policy
        self._resolver = Resolver(policy, directory)
        rules = [r for r in rules_in_force(policy) if isinstance(r, Acl) or not r.via]
        self._rules = [
            _Rule(
                origin_of(rule),
                self._resolver.postures_of(rule.src_posture),
                tuple(opening for opening in openings_of(rule) if not opening.selector.is_self),
                tuple(opening for opening in openings_of(rule) if opening.selector.is_self),
            )
            for rule in rules
        ]
        self._by_source: dict[Selector, int] = {}
        for bit, rule in enumerate(rules):
            for selector in rule.src:
                self._by_source[selector] = self._by_source.get(selector, 0) | 1 << bit
        self._destinations: dict[Selector, IpSet] = {}

    def reach(self, question: Question) -> Reach:
        """Answer from every source address to every destination address."""
        sources = self._addresses(question.src)
        wanted = self._destination(question.target.selector)
        if not sources or wanted.is_empty:
            lacking = question.target.selector if sources else question.src
            return Reach(missing=f"no device is {lacking}", lacks=str(lacking))
        opened = _Opened(self, question, wanted)
        answers = [
            answer
            for source in self._distinct(sources, question)
            if (answer := self._reach_from(source, question, opened)) is not None
        ]
        if not answers:
            return Reach(missing="source and destination share no IP version")
        return Reach(
            from_every=all(answer.at_all for answer in answers),
            fully=all(answer.fully for answer in answers),
            at_all=any(answer.at_all for answer in answers),
            allowing=tuple(dict.fromkeys(o for answer in answers for o in answer.allowing)),
            witness=next((a.witness for a in answers if a.witness), None),
        )

    def _distinct(
        self, sources: list[Address], question: Question
    ) -> Iterator[tuple[Address, int]]:
        """Yield one source, with its rules, for all those that the same rules speak of."""
        relevant = self._relevant(question)
        seen: set[tuple[int, int, str | None]] = set()
        for source in sources:
            rules = self._rules_from(source) & relevant
            alike = source.version, rules, self._owner(source) if question.own_devices else None
            if alike not in seen:
                seen.add(alike)
                yield source, rules

    def _owner(self, address: Address) -> str | None:
        index = self._resolver.directory.by_address.get(address)
        return None if index is None else self._resolver.directory.nodes[index].user

    def _own_devices(self, address: Address) -> IpSet:
        """Return the addresses, of the same version, of the devices of an address's owner."""
        owner = self._owner(address)
        directory = self._resolver.directory
        indices = directory.by_user.get(owner, ()) if owner is not None else ()
        return IpSet.of_addresses(
            own
            for index in indices
            for own in directory.nodes[index].addresses
            if own.version == address.version
        )

    def _rules_from(self, source: Address) -> int:
        """Return the rules that an address is a source of."""
        rules: int = self._by_literal[source.version][source.value]
        node = self._resolver.directory.by_address.get(source)
        return rules if node is None else rules | self._by_node[node]

    @cached_property
    def _by_node(self) -> list[int]:
        """For each device, the rules that name it as a source."""
        masks = [0] * len(self._resolver.directory.nodes)
        for selector, rules in self._by_source.items():
            if not _is_beyond_devices(selector):
                for index in self._resolver.extent(selector).nodes:
                    masks[index] |= rules
        return masks

    @cached_property
    def _by_literal(self) -> dict[int, Axis]:
        """For each address, the rules that have it as a source whoever it belongs to."""
        literal: dict[int, list[IpSet]] = {}
        for selector, rules in self._by_source.items():
            held = self._literal_source(selector)
            if not held.is_empty:
                for bit in members(rules):
                    literal.setdefault(bit, []).append(held)
        sets = [(IpSet.union_of(parts), 1 << bit) for bit, parts in literal.items()]
        return {
            version: Axis((held.bounds(version), rule) for held, rule in sets)
            for version in (V4, V6)
        }

    def _literal_source(self, selector: Selector) -> IpSet:
        """Return the addresses that a source stands for as written, devices' left out."""
        if isinstance(selector, Wildcard):
            nodes = self._resolver.directory.nodes
            routes = IpSet.of_ranges(route.range for node in nodes for route in node.routes)
            return WILDCARD_SOURCE_SET | routes
        if _is_beyond_devices(selector):
            return ANY_SET
        return IpSet.of_strings(self._resolver.extent(selector).texts)

    def _relevant(self, question: Question) -> int:
        """Return the rules whose postures the source passes."""
        mask = 0
        for bit, rule in enumerate(self._rules):
            if self._passes(rule, question):
                mask |= 1 << bit
        return mask

    def _passes(self, rule: _Rule, question: Question) -> bool:
        return not rule.postures or (
            question.attributes is not None
            and satisfies_any(rule.postures, self._policy.postures, question.attributes)
        )

    def _reach_from(
        self, source: tuple[Address, int], question: Question, opened: _Opened
    ) -> Reach | None:
        """Answer for one source; None where the destination has no address of its version."""
        address, rules = source
        family = opened.wanted[address.version]
        if family.is_empty:
            return None
        own = family & self._own_devices(address) if question.own_devices else IpSet()
        allowing: dict[Origin, None] = {}
        witness = None
        for port in self._ports.of(question.target.ports):
            lacking = family
            for bit in members(rules):
                if not own.is_empty and self._opens_own(bit, question, port):
                    lacking = lacking - own
                    allowing[self._rules[bit].origin] = None
                for held in opened.by_rule(bit, address.version, port):
                    lacking = lacking - held
                    allowing[self._rules[bit].origin] = None
            if not lacking.is_empty:
                witness = witness or f"{address} to {lacking.witness()} port {port}"
        some = bool(allowing)
        return Reach(some, witness is None, some, tuple(allowing), witness=witness)

    def _opens_own(self, bit: int, question: Question, port: int) -> bool:
        return any(opening.has(question.protocols, port) for opening in self._rules[bit].own)

    def openings(self, bit: int) -> tuple[Opening, ...]:
        """Return what a rule opens."""
        return self._rules[bit].openings

    def held(self, selector: Selector) -> IpSet:
        """Return the addresses that a destination of a rule stands for."""
        held = self._destinations.get(selector)
        if held is None:
            held = ANY_SET if isinstance(selector, Wildcard) else self._extent(selector)
            self._destinations[selector] = held
        return held

    def _extent(self, selector: Selector) -> IpSet:
        nodes = self._resolver.directory.nodes
        extent = self._resolver.extent(selector)
        own = IpSet.of_addresses(
            chain.from_iterable(nodes[index].addresses for index in extent.nodes)
        )
        return own | IpSet.of_strings(extent.texts)

    @cached_property
    def _ports(self) -> PortSamples:
        return PortSamples(
            opening.ports for rule in self._rules for opening in (*rule.openings, *rule.own)
        )

    def _addresses(self, selector: Selector) -> list[Address]:
        extent = self._resolver.extent(selector)
        nodes = self._resolver.directory.nodes
        found = [address for index in extent.nodes for address in nodes[index].addresses]
        found.extend(Address.parse(text) for text in extent.texts if "/" not in text)
        return found

    def _destination(self, selector: Selector) -> IpSet:
        if isinstance(selector, Cidr | HostAlias | IpSetName | Autogroup):
            texts = self._resolver.extent(selector).texts
            if texts:
                return IpSet.of_strings(texts)
        return IpSet.of_addresses(self._addresses(selector))


def _is_beyond_devices(selector: Selector) -> bool:
    """Whether a source stands for more than devices: `*` and danger-all."""
    return isinstance(selector, Wildcard) or selector.is_anyone


class _Opened:
    """What rules open of the destination that one question is about, each worked out once."""

    def __init__(self, oracle: AccessOracle, question: Question, wanted: IpSet) -> None:
        self._oracle = oracle
        self._protocols = question.protocols
        self.wanted = {version: _family(wanted, version) for version in (V4, V6)}
        self._known: dict[tuple[int, int, int], list[IpSet]] = {}

    def by_rule(self, bit: int, version: int, port: int) -> list[IpSet]:
        """Return the destinations of a rule that take some of the wanted ones in."""
        known = self._known.get((bit, version, port))
        if known is None:
            held = (
                self._oracle.held(opening.selector)
                for opening in self._oracle.openings(bit)
                if opening.has(self._protocols, port)
            )
            known = [addresses for addresses in held if addresses.overlaps(self.wanted[version])]
            self._known[bit, version, port] = known
        return known


def _family(addresses: IpSet, version: int) -> IpSet:
    return IpSet(v4=addresses.v4) if version == V4 else IpSet(v6=addresses.v6)
