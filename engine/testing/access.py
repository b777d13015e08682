"""The rules as tests read them, and the oracle that knows an inventory (policy reference 8.1).

Tests look at the rules before they are reduced for a node: `autogroup:self` and `via` take no
part, and a rule with a posture applies only where the test's own attributes pass it.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from engine.bits import members
from engine.compile.origins import origin_of, rules_in_force
from engine.compile.plan import make_plan
from engine.evaluate.axis import Axis
from engine.netset.address import V4, V6, Address
from engine.netset.ipset import IpSet
from engine.resolve.posture import satisfies_any
from engine.resolve.selectors import Resolver
from engine.rules import FilterRule, NetPortRange
from engine.testing.oracle import Question, Reach
from policy.model.selectors import Autogroup, Cidr, HostAlias, IpSetName, Wildcard

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from engine.compile.plan import NetworkRule, Slot
    from engine.directory import Directory
    from engine.rules import Origin
    from policy.model.document import Policy
    from policy.model.ports import Ports
    from policy.model.selectors import Selector

__all__ = ["AccessOracle"]


class AccessOracle:
    """Answers from the compiled rules of one policy and one inventory."""

    def __init__(self, policy: Policy, directory: Directory) -> None:
        self._policy = policy
        # Postures are judged by each test's attributes, so sources are resolved without them.
        self._resolver = Resolver(_without_postures(policy), directory)
        plan = make_plan(_without_postures(policy), self._resolver)
        self._rules = [self._global_rule(rule) for rule in plan.network if not rule.via]
        self._postures = _postures_by_origin(policy)
        sets = [IpSet.of_strings(rule.src_ips) for rule in self._rules]
        self._sources = {
            version: Axis((held.bounds(version), 1 << bit) for bit, held in enumerate(sets))
            for version in (V4, V6)
        }
        self._opened_sets: dict[tuple[int, int], IpSet] = {}

    def reach(self, question: Question) -> Reach:
        """Answer from every source address to every destination address."""
        sources = self._addresses(question.src)
        wanted = self._destination(question.target.selector)
        if not sources or wanted.is_empty:
            lacking = question.target.selector if sources else question.src
            return Reach(missing=f"no device is {lacking}")
        answers = [
            answer
            for source in self._distinct(sources, question)
            if (answer := self._reach_from(source, question, wanted)) is not None
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
        seen: set[tuple[int, int]] = set()
        for source in sources:
            rules = self._sources[source.version][source.value] & relevant
            if (source.version, rules) not in seen:
                seen.add((source.version, rules))
                yield source, rules

    def _relevant(self, question: Question) -> int:
        """Return the rules whose protocol is asked about and whose postures the source passes."""
        mask = 0
        for bit, rule in enumerate(self._rules):
            if any(number in rule.protocols for number in question.protocols) and all(
                self._passes(origin, question) for origin in rule.origins
            ):
                mask |= 1 << bit
        return mask

    def _passes(self, origin: Origin, question: Question) -> bool:
        postures = self._postures.get(origin, ())
        return not postures or (
            question.attributes is not None
            and satisfies_any(postures, self._policy.postures, question.attributes)
        )

    def _reach_from(
        self, source: tuple[Address, int], question: Question, wanted: IpSet
    ) -> Reach | None:
        """Answer for one source; None where the destination has no address of its version."""
        address, rules = source
        family = _family(wanted, address.version)
        if family.is_empty:
            return None
        allowing: dict[Origin, None] = {}
        witness = None
        for port in self._sample_ports(question.target.ports):
            lacking = family
            for bit in members(rules):
                opened = self._opened(bit, port)
                if opened.overlaps(family):
                    lacking = lacking - opened
                    allowing.update(dict.fromkeys(self._rules[bit].origins))
            if not lacking.is_empty:
                witness = witness or f"{address} to {lacking.witness()} port {port}"
        some = bool(allowing)
        return Reach(some, witness is None, some, tuple(allowing), witness=witness)

    def _opened(self, bit: int, port: int) -> IpSet:
        """Return the destinations that a rule opens on a port."""
        opened = self._opened_sets.get((bit, port))
        if opened is None:
            opened = self._opened_sets[bit, port] = IpSet.of_strings(
                entry.ip
                for entry in self._rules[bit].dst_ports
                if entry.ports.first <= port <= entry.ports.last
            )
        return opened

    def _sample_ports(self, asked: Iterable[Ports]) -> list[int]:
        """Return ports that stand for all that are asked about: answers change only at bounds."""
        samples: set[int] = set()
        for first, last in asked:
            samples.add(first)
            samples.update(bound for bound in self._port_bounds if first < bound <= last)
        return sorted(samples)

    @cached_property
    def _port_bounds(self) -> list[int]:
        bounds = {
            bound
            for rule in self._rules
            for entry in rule.dst_ports
            for bound in (entry.ports.first, entry.ports.last + 1)
        }
        return sorted(bounds)

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

    def _global_rule(self, rule: NetworkRule) -> FilterRule:
        entries = (entry for slot in rule.slots for entry in self._entries(slot))
        return FilterRule(rule.sources, tuple(entries), rule.protocol, origins=(rule.origin,))

    def _entries(self, slot: Slot) -> Iterator[NetPortRange]:
        if slot.is_self:
            return
        for text in self._slot_texts(slot):
            for ports in slot.ports:
                yield NetPortRange(text, ports)

    def _slot_texts(self, slot: Slot) -> Iterable[str]:
        if isinstance(slot.selector, Wildcard):
            return ("*",)
        extent = self._resolver.extent(slot.selector)
        own = (text for i in extent.nodes for text in self._resolver.address_texts(i))
        return (*own, *extent.texts)


def _without_postures(policy: Policy) -> Policy:
    return policy._replace(
        default_src_posture=(),
        acls=None
        if policy.acls is None
        else tuple(a._replace(src_posture=()) for a in policy.acls),
        grants=None
        if policy.grants is None
        else tuple(g._replace(src_posture=()) for g in policy.grants),
    )


def _family(addresses: IpSet, version: int) -> IpSet:
    return IpSet(v4=addresses.v4) if version == V4 else IpSet(v6=addresses.v6)


def _postures_by_origin(policy: Policy) -> dict[Origin, tuple[str, ...]]:
    """Return the postures in effect for each rule that has any."""
    default = policy.default_src_posture
    return {
        origin_of(rule): postures
        for rule in rules_in_force(policy)
        if (postures := rule.src_posture or default)
    }
