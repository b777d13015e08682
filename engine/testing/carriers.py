"""What suites ask of single devices: who carries traffic, who holds which capability."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from engine.evaluate.capabilities import PeerCapabilities
from engine.netset.address import V4
from engine.netset.ipset import IpSet
from engine.testing.oracle import Reach
from engine.testing.samples import PortSamples

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.compile.network import CompiledNetwork
    from engine.directory import DirectoryNode
    from engine.netset.address import Address
    from engine.resolve.selectors import Resolver
    from engine.testing.oracle import Question
    from policy.model.selectors import Selector

__all__ = ["Carriers"]


class Carriers:
    """Answers from the packet filters of single devices."""

    def __init__(self, network: CompiledNetwork) -> None:
        self._network = network

    @property
    def _resolver(self) -> Resolver:
        # Not sooner: most tests ask about no device, and compiling is most of the work.
        return self._network.filters.resolver

    def reach(self, question: Question, via: list[Selector]) -> Reach:
        """Tell whether a device of `via` routes a destination and lets the source reach it."""
        wanted = IpSet.of_strings(self._resolver.extent(question.target.selector).texts)
        if wanted.is_empty:
            return Reach(missing="what is carried is a network")
        carriers = [
            node for selector in via for node in self._nodes(selector) if _routes(node, wanted)
        ]
        sources = list(self._addresses(question.src))
        if not carriers or not sources:
            names = ", ".join(str(selector) for selector in via)
            missing = f"no device of {names} routes it" if sources else "the source has no device"
            return Reach(missing=missing)
        # One carrier must take all that is asked of one source; ports are asked one by one.
        covered = []
        touched = False
        ports = self._ports.of(question.target.ports)
        for source in sources:
            family = _family(wanted, source.version)
            if family.is_empty:
                continue
            opened = [
                [self._opened(node, source, question, port) for port in ports] for node in carriers
            ]
            covered.append(any(all(family.issubset(part) for part in row) for row in opened))
            touched |= any(part.overlaps(family) for row in opened for part in row)
        fully = bool(covered) and all(covered)
        return Reach(from_every=fully, fully=fully, at_all=touched)

    def holds(self, src: Selector, dst: Selector, capability: str) -> Reach:
        """Tell whether a source holds a capability on every or on any device of a destination."""
        sources = list(self._addresses(src))
        nodes = list(self._nodes(dst))
        if not sources or not nodes:
            return Reach(missing=f"no device is {dst if sources else src}")
        answers = [
            capability in (granted.granted(source, address) or ())
            for node in nodes
            for granted in [PeerCapabilities(self._network.packet_filters[node.index])]
            for source in sources
            for address in node.addresses
            if address.version == source.version
        ]
        if not answers:
            return Reach(missing="source and destination share no IP version")
        every, some = all(answers), any(answers)
        return Reach(every, every, some)

    @cached_property
    def _ports(self) -> PortSamples:
        return PortSamples(
            entry.ports
            for rules in self._network.packet_filters
            for rule in rules
            for entry in rule.dst_ports
        )

    def _opened(self, node: DirectoryNode, source: Address, question: Question, port: int) -> IpSet:
        """Return the destinations that a device's filter opens to a source on a port."""
        texts = [
            entry.ip
            for rule in self._network.packet_filters[node.index]
            if any(number in rule.protocols for number in question.protocols)
            and source in IpSet.of_strings(rule.src_ips)
            for entry in rule.dst_ports
            if entry.ports.first <= port <= entry.ports.last
        ]
        return IpSet.of_strings(texts)

    def _nodes(self, selector: Selector) -> Iterator[DirectoryNode]:
        for index in self._resolver.nodes(selector):
            yield self._resolver.directory.nodes[index]

    def _addresses(self, selector: Selector) -> Iterator[Address]:
        for node in self._nodes(selector):
            yield from node.addresses


def _routes(node: DirectoryNode, wanted: IpSet) -> bool:
    """Whether a device has approved routes for all of a network of either IP version."""
    prefixes = IpSet.of_strings([*(route.text for route in node.routes), *node.exit_routes])
    parts = [part for part in (IpSet(v4=wanted.v4), IpSet(v6=wanted.v6)) if not part.is_empty]
    return any(part.issubset(prefixes) for part in parts)


def _family(addresses: IpSet, version: int) -> IpSet:
    return IpSet(v4=addresses.v4) if version == V4 else IpSet(v6=addresses.v6)
