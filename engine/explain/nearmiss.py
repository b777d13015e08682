"""The rules that come nearest to allowing a flow, and what in each did not match."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from engine.compile.openings import openings_of
from engine.compile.origins import origin_of
from engine.netset.ipset import IpSet
from policy.model.rules import Acl
from policy.model.selectors import Wildcard

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from engine.explain.parties import Party
    from engine.resolve.selectors import Resolver
    from engine.rules import Origin
    from policy.model.ports import Ports
    from policy.model.rules import Grant
    from policy.model.selectors import Selector
    from policy.source import Span

__all__ = ["NearMiss", "nearest_rules"]

_SHOWN = 5
_FAR = 3
"""Counts of mismatch from which on a rule helps nobody to understand."""


class NearMiss(NamedTuple):
    """A rule that almost allows the flow."""

    origin: Origin
    span: Span
    reasons: tuple[str, ...]
    """What did not match, one sentence each."""


def nearest_rules(
    resolver: Resolver, src: Party, dst: Party, protocol: int, port: int | None
) -> tuple[NearMiss, ...]:
    """Return the rules that fail on the fewest counts, at most five."""
    misses = []
    for rule in resolver.policy.network_rules:
        reasons = tuple(_reasons(rule, resolver, src, dst, protocol, port))
        misses.append(NearMiss(origin_of(rule), rule.span, reasons))
    near = [miss for miss in misses if 0 < len(miss.reasons) < _FAR]
    near.sort(key=lambda miss: len(miss.reasons))
    return tuple(near[:_SHOWN])


def _reasons(
    rule: Grant | Acl,
    resolver: Resolver,
    src: Party,
    dst: Party,
    protocol: int,
    port: int | None,
) -> Iterator[str]:
    postures = resolver.postures_of(rule.src_posture)
    if not any(_holds(selector, src, resolver) for selector in rule.src):
        yield f"source {src} is not in {_listed(rule.src)}"
    elif postures and src.node is not None and not resolver.passes(src.node.index, postures):
        yield f"{src} passes none of {', '.join(postures)}"
    openings = list(openings_of(rule))
    reached = [o for o in openings if _reaches(o.selector, src, dst, resolver)]
    if not isinstance(rule, Acl) and rule.via and dst.node is not None:
        yield f"it goes via {', '.join(rule.via)}, which opens routed networks only"
    if not reached:
        yield f"destination {dst} is not in {_listed(dict.fromkeys(o.selector for o in openings))}"
        return
    spoken = [o for o in reached if protocol in o.protocols]
    if not spoken:
        yield f"it is for protocol {', '.join(sorted({_protocol(o.protocol) for o in reached}))}"
    elif port is not None and not any(o.has((protocol,), port) for o in spoken):
        yield f"port {port} is not in {', '.join(dict.fromkeys(_ports(o.ports) for o in spoken))}"


def _reaches(selector: Selector, src: Party, dst: Party, resolver: Resolver) -> bool:
    if selector.is_self:
        return (
            src.node is not None
            and dst.node is not None
            and src.node.user is not None
            and src.node.user == dst.node.user
        )
    return _holds(selector, dst, resolver)


def _holds(selector: Selector, party: Party, resolver: Resolver) -> bool:
    if isinstance(selector, Wildcard):
        return True
    if selector.is_self or selector.is_anyone:
        return selector.is_anyone
    extent = resolver.extent(selector)
    if party.node is not None and party.node.index in extent.nodes:
        return True
    return party.address in IpSet.of_strings(extent.texts)


def _listed(selectors: Iterable[Selector]) -> str:
    return ", ".join(str(selector) for selector in selectors) or "an empty list"


def _protocol(number: int | None) -> str:
    return "tcp, udp and icmp" if number is None else str(number)


def _ports(ports: Ports) -> str:
    return str(ports.first) if ports.first == ports.last else f"{ports.first}-{ports.last}"
