"""The fast evaluator: which rules of a node's packet filter cover a new flow.

Rules are taken apart into clauses (`clauses`), one bit each, the first clause highest. A flow
satisfies the clauses in the intersection of three bitmasks: by source, by destination, and by
protocol and port (`axis`). The length of the intersection in bits tells the first rule that
matches. Wider masks are all that grows with the number of rules.

Bit 0 is no clause. Every address has it, but only TSMP's service does: it makes that protocol
pass, whatever the rules.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from engine.evaluate.axis import Axis
from engine.evaluate.clauses import Clause, clauses_of
from engine.evaluate.flow import FRAGMENT, UNKNOWN, Flow, Reason, Verdict
from engine.netset.address import V4, V6
from engine.netset.protocols import ICMPV4, ICMPV6, PORTED, TSMP
from engine.rules import ALL_PORTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from engine.netset.intervals import Bounds
    from engine.rules import FilterRule

__all__ = ["FilterEvaluator"]

_REMEMBERED = 1 << 16
"""Flows to remember the verdict on; past it all are forgotten at once."""

_ALWAYS = 1

_NO_RULE = Verdict(allowed=False, reason=Reason.NO_RULE)
_TSMP = Verdict(allowed=True, reason=Reason.TSMP)

_PSEUDO_PROTOCOLS = frozenset({UNKNOWN, FRAGMENT})
_ICMP = {V4: ICMPV4, V6: ICMPV6}
_EVERY_PORT = (ALL_PORTS.first, ALL_PORTS.last + 1)


class FilterEvaluator:
    """Decides on new flows by one packet filter, which it never changes.

    Follows the client's reading of rules (policy reference 9.3): TCP, UDP and SCTP ask for
    protocol, addresses and port; the ICMP of the flow's IP version for the addresses alone; TSMP
    passes always; any other protocol needs a rule that lists it and grants all ports. Application
    capabilities open nothing.
    """

    __slots__ = ("_clauses", "_letter", "_rules", "_v4", "_v6", "decide")

    decide: Callable[[Flow], Verdict]
    """Judge a new flow, naming the first rule that allows it.

    Takes a plain tuple of the same five numbers just as well. A bound method of the dictionary of
    flows decided lately, which is what makes it cheap.
    """

    def __init__(self, rules: Sequence[FilterRule]) -> None:
        """Index a filter. Raises MalformedRuleError where an address in it cannot be read."""
        self._rules = tuple(rules)
        # In reverse, so that a clause's place is its bit, and above the bit of `_ALWAYS`.
        self._clauses = tuple(clauses_of(self._rules))[::-1]
        bits = [(_ALWAYS << place, clause) for place, clause in enumerate(self._clauses, 1)]
        self._v4 = _axes(V4, bits)
        self._v6 = _axes(V6, bits)
        self._letter = _Letter.of(bits)
        by_length = [_NO_RULE, _TSMP, *self._clause_verdicts()]
        self.decide = _Decisions(self._v4, self._v6, by_length).__getitem__

    @property
    def rules(self) -> tuple[FilterRule, ...]:
        """The filter."""
        return self._rules

    def allows(self, flow: Flow) -> bool:
        """Tell whether a new flow is let through."""
        return self.decide(flow).allowed

    def matching(self, flow: Flow) -> tuple[int, ...]:
        """Return the indexes of all rules that allow a new flow, ascending.

        None for TSMP, which needs no rule.
        """
        sources, destinations, services = self._v4 if flow.version == V4 else self._v6
        return self._rules_in(
            sources[flow.src] & destinations[flow.dst] & services[flow.proto][flow.dst_port]
        )

    def covering(self, flow: Flow, *, any_port: bool = False) -> tuple[int, ...]:
        """Return the indexes of all rules that cover a flow by their letter, ascending.

        Unlike on the packet path, ICMP is no exception: the protocol must be the rule's and, unless
        `any_port`, the port must be among its ports. This is how policy tests read rules (policy
        reference 8.1).
        """
        sources, destinations, _ = self._v4 if flow.version == V4 else self._v6
        satisfied = sources[flow.src] & destinations[flow.dst]
        satisfied &= self._letter.protocols.get(flow.proto, 0)
        if not any_port:
            satisfied &= self._letter.ports[flow.dst_port]
        return self._rules_in(satisfied)

    def _clause_verdicts(self) -> Iterator[Verdict]:
        known: dict[int, Verdict] = {}
        for clause in self._clauses:
            if clause.rule not in known:
                rule = self._rules[clause.rule]
                known[clause.rule] = Verdict(
                    allowed=True, reason=Reason.RULE, rule_index=clause.rule, rule=rule
                )
            yield known[clause.rule]

    def _rules_in(self, satisfied: int) -> tuple[int, ...]:
        # Several clauses can be of one rule; a dict keeps the order and each rule once.
        found: dict[int, None] = {}
        satisfied &= ~_ALWAYS
        while satisfied:
            length = satisfied.bit_length()
            found[self._clauses[length - 2].rule] = None
            satisfied ^= 1 << length - 1
        return tuple(found)


class _Decisions(dict[Flow, Verdict]):
    """Verdicts on the flows asked about lately; it grows by being read, up to a bound."""

    __slots__ = ("_by_length", "_v4", "_v6")

    def __init__(self, v4: _Axes, v6: _Axes, by_length: list[Verdict]) -> None:
        super().__init__()
        self._v4 = v4
        self._v6 = v6
        self._by_length = by_length

    def __missing__(self, flow: Flow) -> Verdict:
        version, src, dst, proto, dst_port = flow
        sources, destinations, services = self._v4 if version == V4 else self._v6
        satisfied = sources[src] & destinations[dst] & services[proto][dst_port]
        if len(self) >= _REMEMBERED:
            self.clear()
        verdict = self[flow] = self._by_length[satisfied.bit_length()]
        return verdict


class _Services(dict[int, Axis]):
    """Ports by protocol; a protocol that no rule opens has none."""

    __slots__ = ()

    def __missing__(self, proto: int) -> Axis:
        return _CLOSED


_CLOSED = Axis(())

_Axes = tuple[Axis, Axis, _Services]
"""The three dimensions of one IP version: sources, destinations, services."""


def _axes(version: int, bits: Sequence[tuple[int, Clause]]) -> _Axes:
    services = _services(version, bits)
    return (
        Axis(((clause.sources.bounds(version), bit) for bit, clause in bits), _ALWAYS),
        Axis(((clause.destinations.bounds(version), bit) for bit, clause in bits), _ALWAYS),
        _Services({proto: Axis(held) for proto, held in services.items()}),
    )


def _services(
    version: int, bits: Sequence[tuple[int, Clause]]
) -> dict[int, list[tuple[Bounds, int]]]:
    """By protocol, the ports on which each clause is satisfied."""
    icmp = _ICMP[version]
    services: dict[int, list[tuple[Bounds, int]]] = {
        TSMP: [(_EVERY_PORT, _ALWAYS)],
        icmp: [(_EVERY_PORT, bit) for bit, _ in bits],
    }
    exceptions = _PSEUDO_PROTOCOLS | {TSMP, icmp}
    for bit, clause in bits:
        for proto in clause.protocols - exceptions:
            if proto in PORTED:
                services.setdefault(proto, []).append((clause.ports.bounds, bit))
            elif clause.is_unrestricted:
                services.setdefault(proto, []).append((_EVERY_PORT, bit))
    return services


class _Letter(NamedTuple):
    """Protocols and ports as the rules spell them."""

    protocols: dict[int, int]
    """By protocol, the clauses of rules that list it."""
    ports: Axis

    @classmethod
    def of(cls, bits: Sequence[tuple[int, Clause]]) -> _Letter:
        protocols: dict[int, int] = {}
        for bit, clause in bits:
            for proto in clause.protocols:
                protocols[proto] = protocols.get(proto, 0) | bit
        return cls(protocols, Axis((clause.ports.bounds, bit) for bit, clause in bits))
