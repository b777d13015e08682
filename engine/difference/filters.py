"""What one packet filter lets through and another does not, as boxes of addresses and services.

The addresses of both filters fall into classes: all members of a class are sources (or
destinations) of exactly the same clauses. So it is enough to compare the services of each pair of
classes once, however many addresses there are.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

from engine.bits import members
from engine.evaluate.clauses import ClauseReader, clauses_of
from engine.evaluate.flow import FRAGMENT, UNKNOWN
from engine.netset import intervals
from engine.netset.address import V4, V6
from engine.netset.ports import PortSet
from engine.netset.protocols import ICMPV4, ICMPV6, PORTED, TSMP
from engine.rules import ALL_PORTS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from engine.evaluate.clauses import Clause
    from engine.netset.intervals import Bounds
    from engine.origin import Origin
    from engine.rules import FilterRule

__all__ = ["Box", "Service", "Services", "filter_difference"]

Service = int | str
"""An IP protocol number, or an application capability and its value as `NAME JSON`."""

Services = tuple[tuple[Service, PortSet], ...]
"""What is open, by service and ordered; whatever has no ports has all of them."""

_EVERY_PORT = PortSet.of(ALL_PORTS)
_NEVER_BY_RULE = frozenset({UNKNOWN, FRAGMENT, TSMP})
_ICMP = {V4: ICMPV4, V6: ICMPV6}


class Box(NamedTuple):
    """Flows that one of two filters lets through: every source to every destination."""

    is_added: bool
    """The second filter lets them through, else the first one did."""
    version: int
    sources: Bounds
    destinations: Bounds
    services: Services
    origins: tuple[Origin, ...]
    """The policy rules that allow them, in the filter that does."""

    def holds(self, src: int, dst: int, service: Service, port: int = 0) -> bool:
        """Tell whether a flow of the box's IP version is in it."""
        return (
            any(service == own and port in ports for own, ports in self.services)
            and intervals.contains(self.sources, src)
            and intervals.contains(self.destinations, dst)
        )


class _Grant(NamedTuple):
    """Sources may use services of destinations, in one IP version."""

    sources: Bounds
    destinations: Bounds
    services: dict[Service, PortSet]
    origins: tuple[Origin, ...]


def filter_difference(
    old: Sequence[FilterRule], new: Sequence[FilterRule], reader: ClauseReader | None = None
) -> list[Box]:
    """Return the flows on which two filters differ, in boxes that do not overlap.

    A flow is in one of them exactly if `FilterEvaluator` decides otherwise by the second filter
    than by the first. Raises MalformedRuleError.
    """
    reader = reader or ClauseReader()
    old_grants, new_grants = _Grants(old, reader), _Grants(new, reader)
    boxes: list[Box] = []
    for version in (V4, V6):
        boxes.extend(_Comparison(version, old_grants.of(version), new_grants.of(version)).boxes())
    return boxes


class _Grants:
    """A filter taken apart."""

    def __init__(self, rules: Sequence[FilterRule], reader: ClauseReader) -> None:
        self._clauses = [(clause, rules[clause.rule]) for clause in clauses_of(rules, reader)]
        self._capabilities = [
            (reader.source_set(rule.src_ips), reader.ip_set(grant.dsts), grant.cap_map, rule)
            for rule in rules
            for grant in rule.cap_grants
        ]

    def of(self, version: int) -> list[_Grant]:
        """Return what is granted in one IP version."""
        found = [
            _Grant(
                clause.sources.bounds(version),
                clause.destinations.bounds(version),
                dict(_services(clause, version)),
                rule.origins,
            )
            for clause, rule in self._clauses
        ]
        for sources, destinations, cap_map, rule in self._capabilities:
            services: dict[Service, PortSet] = {
                _capability(name, value): _EVERY_PORT
                for name, values in cap_map.items()
                for value in (values or (None,))
            }
            found.append(
                _Grant(
                    sources.bounds(version), destinations.bounds(version), services, rule.origins
                )
            )
        return [grant for grant in found if grant.sources and grant.destinations and grant.services]


def _services(clause: Clause, version: int) -> Iterator[tuple[Service, PortSet]]:
    """Yield what a clause opens on the packet path (policy reference 9.3)."""
    icmp = _ICMP[version]
    yield icmp, _EVERY_PORT
    for proto in clause.protocols - _NEVER_BY_RULE - {icmp}:
        if proto in PORTED:
            yield proto, clause.ports
        elif clause.is_unrestricted:
            yield proto, _EVERY_PORT


def _capability(name: str, value: object) -> str:
    return name if value is None else f"{name} {json.dumps(value, sort_keys=True)}"


class _Comparison:
    """Two filters in one IP version. Grants are numbered, those of the second filter last."""

    def __init__(self, version: int, old: list[_Grant], new: list[_Grant]) -> None:
        self._version = version
        self._grants = [*old, *new]
        self._old_count = len(old)
        # Where nothing but equal grants apply, nothing can differ.
        known = {_identity(grant) for grant in old} & {_identity(grant) for grant in new}
        self._suspect = sum(
            1 << number
            for number, grant in enumerate(self._grants)
            if _identity(grant) not in known
        )
        self._answers: dict[int, list[tuple[bool, Services, tuple[Origin, ...]]]] = {}

    def boxes(self) -> Iterator[Box]:
        """Yield the differences, pairs of classes that differ alike in one box."""
        if not self._suspect:
            return
        sources = self._classes(grant.sources for grant in self._grants)
        destinations = self._classes(grant.destinations for grant in self._grants)
        found: dict[tuple[bool, Services, tuple[Origin, ...]], dict[int, list[Bounds]]] = {}
        for by_destination, _ in destinations:
            for by_source, members_of_class in sources:
                for answer in self._compare(by_source & by_destination):
                    by_class = found.setdefault(answer, {})
                    by_class.setdefault(by_destination, []).append(members_of_class)
        spans_of = dict(destinations)
        for (is_added, services, origins), by_class in found.items():
            reached: dict[Bounds, list[Bounds]] = {}
            for by_destination, parts in by_class.items():
                reached.setdefault(_union(parts), []).append(spans_of[by_destination])
            for held, parts in reached.items():
                yield Box(is_added, self._version, held, _union(parts), services, origins)

    def _classes(self, sets: Iterable[Bounds]) -> list[tuple[int, Bounds]]:
        """Return the classes that a suspect grant speaks of, by the grants that they are in."""
        flips: dict[int, int] = {}
        for number, bounds in enumerate(sets):
            for bound in bounds:
                flips[bound] = flips.get(bound, 0) ^ 1 << number
        pieces: dict[int, list[tuple[int, int]]] = {}
        mask, start = 0, 0
        for bound in sorted(flips):
            if mask & self._suspect:
                pieces.setdefault(mask, []).append((start, bound - 1))
            mask ^= flips[bound]
            start = bound
        return [(held, intervals.from_spans(spans)) for held, spans in pieces.items()]

    def _compare(self, active: int) -> list[tuple[bool, Services, tuple[Origin, ...]]]:
        """Return what is added and what is removed where these grants apply."""
        if not active & self._suspect:
            return []
        known = self._answers.get(active)
        if known is None:
            old = [self._grants[n] for n in members(active) if n < self._old_count]
            new = [self._grants[n] for n in members(active) if n >= self._old_count]
            known = self._answers[active] = [
                (is_added, lacking, _origins(having, lacking))
                for is_added, having, other in ((False, old, new), (True, new, old))
                if (lacking := _minus(having, other))
            ]
        return known


def _identity(grant: _Grant) -> tuple[object, ...]:
    return grant.sources, grant.destinations, frozenset(grant.services.items())


def _opened(grants: Iterable[_Grant]) -> dict[Service, PortSet]:
    opened: dict[Service, PortSet] = {}
    for grant in grants:
        for service, ports in grant.services.items():
            known = opened.get(service)
            opened[service] = ports if known is None else known | ports
    return opened


def _minus(having: Iterable[_Grant], other: Iterable[_Grant]) -> Services:
    lacking = _opened(other)
    left = {
        service: ports - lacking.get(service, PortSet())
        for service, ports in _opened(having).items()
    }
    return tuple(sorted(((s, ports) for s, ports in left.items() if ports), key=_order))


def _order(item: tuple[Service, PortSet]) -> tuple[bool, str]:
    service, _ = item
    return isinstance(service, str), f"{service:>5}"


def _origins(grants: Iterable[_Grant], services: Services) -> tuple[Origin, ...]:
    """Return the rules that open some of the services."""
    wanted = dict(services)
    return tuple(
        dict.fromkeys(
            origin
            for grant in grants
            if any(
                service in wanted and ports.overlaps(wanted[service])
                for service, ports in grant.services.items()
            )
            for origin in grant.origins
        )
    )


def _union(parts: Iterable[Bounds]) -> Bounds:
    return intervals.from_spans(span for part in parts for span in intervals.spans(part))
