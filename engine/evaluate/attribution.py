"""Which lines of the policy let a flow through.

A filter rule may be merged from several policy rules; its shares tell which entries are whose.
Looked up when somebody asks, never on the packet path.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from engine.netset import V4, V6, parse_ranges
from engine.netset.protocols import ICMPV4, ICMPV6, PORTED
from engine.rules import ALL_PORTS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from engine.evaluate.flow import Flow
    from engine.rules import FilterRule, NetPortRange, Origin

__all__ = ["allowing_origins"]

_ICMP: Final = {V4: ICMPV4, V6: ICMPV6}


def allowing_origins(rule: FilterRule, flow: Flow) -> tuple[Origin, ...]:
    """Return the policy rules inside a filter rule that allow a flow which the filter rule allows.

    All of its origins where it does not say which entries are whose. Raises AddressError where a
    destination cannot be read.
    """
    if not rule.shares:
        return rule.origins
    found, at = [], 0
    for origin, share in zip(rule.origins, rule.shares, strict=True):
        if _opens(rule.dst_ports[at : at + share], flow):
            found.append(origin)
        at += share
    return tuple(found)


def _opens(entries: Iterable[NetPortRange], flow: Flow) -> bool:
    """Apply the destination's part of policy reference 9.3."""
    for text, ports in entries:
        if not any(span.contains(flow.version, flow.dst) for span in parse_ranges(text)):
            continue
        if flow.proto in PORTED:
            if ports.first <= flow.dst_port <= ports.last:
                return True
        elif flow.proto == _ICMP[flow.version] or ports == ALL_PORTS:
            return True
    return False
