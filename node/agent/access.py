"""What may reach this node by its packet filter, and what it refused lately.

A node is told its own filter only: who may reach it is certain; where it may go itself is known
to the nodes there. Peers are listed because the policy connects them with this node one way or
the other.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any

from engine.netset import AddressError, IpSet
from engine.netset.protocols import protocol_name
from node.agent.desired import short_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from control.wire import WireNode
    from engine.rules import FilterRule
    from node.agent.desired import Desired
    from node.netmap.netmap import NetMap

__all__ = ["access_json"]


def access_json(
    netmap: NetMap | None, applied: Desired | None, denials: Mapping[str, Any]
) -> dict[str, Any]:
    """Return who may come in by which rule, the peers, and recent denials with names."""
    nodes = (netmap.self_node, *netmap.peers.values()) if netmap is not None else ()
    rules = applied.rules if applied is not None else ()
    return {
        "inbound": [_rule(index, rule, nodes) for index, rule in enumerate(rules)],
        "peers": sorted(short_name(node) for node in nodes[1:]),
        "denials": [
            {
                **denial,
                "src_name": _named(nodes, denial["src"]),
                "dst_name": _named(nodes, denial["dst"]),
            }
            for denial in denials.get("recent", ())
        ],
        "denials_not_logged": denials.get("suppressed", 0),
    }


def _rule(index: int, rule: FilterRule, nodes: tuple[WireNode, ...]) -> dict[str, Any]:
    origin = rule.origins[0] if rule.origins else None
    return {
        "rule": index,
        "policy": None
        if origin is None
        else {"section": origin.section, "index": origin.position, "line": origin.line},
        "from": [*_names(rule.src_ips, nodes)],
        "sources": list(rule.src_ips),
        "destinations": [f"{ip}:{_ports(ports.first, ports.last)}" for ip, ports in rule.dst_ports],
        "protocols": [protocol_name(number) for number in rule.protocols],
    }


def _ports(first: int, last: int) -> str:
    if (first, last) == (0, 65535):
        return "*"
    return str(first) if first == last else f"{first}-{last}"


def _names(texts: tuple[str, ...], nodes: tuple[WireNode, ...]) -> list[str]:
    try:
        sources = IpSet.of_strings(texts)
    except AddressError:
        # A capability selector or something newer: it names no addresses.
        return []
    return [
        short_name(node)
        for node in nodes
        if any(sources.overlaps(IpSet.of(str(prefix))) for prefix in node.addresses or ())
    ]


def _named(nodes: tuple[WireNode, ...], text: str) -> str:
    ip = ipaddress.ip_address(text)
    for node in nodes:
        for prefix in node.addresses or ():
            if prefix.version == ip.version and ip in prefix:
                return short_name(node)
    return ""
