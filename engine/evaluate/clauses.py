"""Filter rules taken apart into boxes: sources x destinations x protocols x ports.

A rule pairs ports with destinations one by one, so it is no box itself. Splitting it by equal
port sets gives the fewest clauses that are, usually one a rule.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

from engine.netset import AddressError, IpSet, PortSet, parse_ranges
from engine.rules import ALL_PORTS, MalformedRuleError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from engine.netset import AddressRange
    from engine.rules import FilterRule, PortRange

__all__ = ["CAPABILITY", "Clause", "ClauseReader", "clauses_of", "source_set"]

CAPABILITY = "cap:"
"""Marks a source that stands for whoever holds a node capability."""


class Clause(NamedTuple):
    """Some sources may reach some destinations on some ports."""

    rule: int
    """Index of the rule that the clause is part of."""
    sources: IpSet
    destinations: IpSet
    protocols: frozenset[int]
    ports: PortSet
    is_unrestricted: bool
    """Whether the rule grants these destinations with all ports in one entry, which is what
    protocols without ports ask for (policy reference 9.3)."""


def clauses_of(rules: Sequence[FilterRule], reader: ClauseReader | None = None) -> Iterator[Clause]:
    """Yield the clauses of a filter in the order of its rules.

    Who reads many filters of one network gives the same reader each time. Raises
    MalformedRuleError where an address in a rule cannot be read.
    """
    reader = reader or ClauseReader()
    for index, rule in enumerate(rules):
        if not rule.dst_ports:
            continue
        try:
            yield from _clauses_of_rule(index, rule, reader)
        except AddressError as error:
            raise MalformedRuleError(f"filter rule {index}: {error}") from error


def source_set(texts: Iterable[str]) -> IpSet:
    """Read the addresses among the sources of a rule. Raises AddressError.

    Sources by capability are left out, which denies: this network has no issuer of them.
    """
    return ClauseReader().source_set(tuple(texts))


class ClauseReader:
    """Reads addresses, each text once: a filter repeats the same nodes in rule after rule."""

    def __init__(self) -> None:
        self._ranges: dict[str, tuple[AddressRange, ...]] = {}
        self._sources: dict[tuple[str, ...], IpSet] = {}

    def source_set(self, texts: tuple[str, ...]) -> IpSet:
        """Read sources, those by capability left out. Raises AddressError."""
        known = self._sources.get(texts)
        if known is None:
            known = self.ip_set(text for text in texts if not text.startswith(CAPABILITY))
            self._sources[texts] = known
        return known

    def ip_set(self, texts: Iterable[str]) -> IpSet:
        """Read the union of wire strings. Raises AddressError."""
        return IpSet.of_ranges(chain.from_iterable(map(self._read, texts)))

    def _read(self, text: str) -> tuple[AddressRange, ...]:
        known = self._ranges.get(text)
        if known is None:
            known = self._ranges[text] = parse_ranges(text)
        return known


def _clauses_of_rule(index: int, rule: FilterRule, reader: ClauseReader) -> Iterator[Clause]:
    sources = reader.source_set(rule.src_ips)
    ranges_by_text: dict[str, list[PortRange]] = {}
    for text, ports in rule.dst_ports:
        ranges_by_text.setdefault(text, []).append(ports)
    texts_by_ports: dict[tuple[PortSet, bool], list[str]] = {}
    for text, ranges in ranges_by_text.items():
        key = PortSet.of_ranges(ranges), ALL_PORTS in ranges
        texts_by_ports.setdefault(key, []).append(text)
    protocols = frozenset(rule.protocols)
    for (port_set, is_unrestricted), texts in texts_by_ports.items():
        destinations = reader.ip_set(texts)
        yield Clause(index, sources, destinations, protocols, port_set, is_unrestricted)
