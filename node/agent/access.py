"""What this node may reach, who may reach it, by which lines of the policy, and what was refused.

Who may come in stands in the node's own filter. Where the node may go stands in the filters of
others; the control server tells this node its own part of them when it asks.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any, Final

from engine.netset import AddressError, IpSet
from engine.netset.constants import INTERNET
from engine.netset.protocols import protocol_name
from engine.rules import OWN_ADDRESS
from node.agent.desired import short_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from control.wire import Reach, ReachResponse, WireNode
    from engine.rules import FilterRule, NetPortRange, Origin
    from node.agent.desired import Desired
    from node.netmap.netmap import NetMap

__all__ = ["access_json"]

INTERNET_NAME: Final = "autogroup:internet"


def access_json(
    netmap: NetMap | None,
    applied: Desired | None,
    reach: ReachResponse | str,
    *,
    denials: Mapping[str, Any],
    admissions: Mapping[str, Any],
) -> dict[str, Any]:
    """Return both directions by policy rule, the peers, and recent decisions with names.

    `reach` is the control server's answer, or why there is none.
    """
    nodes = (netmap.self_node, *netmap.peers.values()) if netmap is not None else ()
    rules = applied.rules if applied is not None else ()
    return {
        "outbound": None if isinstance(reach, str) else list(_outbound(reach.reach, nodes)),
        "outbound_unknown": reach if isinstance(reach, str) else "",
        "inbound": [
            entry for index, rule in enumerate(rules) for entry in _inbound(index, rule, nodes)
        ],
        "peers": sorted(short_name(node) for node in nodes[1:]),
        "admissions": [_with_names(nodes, each) for each in admissions.get("recent", ())],
        "admissions_not_logged": admissions.get("suppressed", 0),
        "denials": [_with_names(nodes, each) for each in denials.get("recent", ())],
        "denials_not_logged": denials.get("suppressed", 0),
    }


def _inbound(index: int, rule: FilterRule, nodes: tuple[WireNode, ...]) -> Iterator[dict[str, Any]]:
    names = _names(rule.src_ips, nodes)
    for origin, entries in _by_origin(rule):
        yield {
            "rule": index,
            "policy": _place(origin),
            "from": names,
            "sources": list(rule.src_ips),
            "destinations": _destinations(entries),
            "protocols": [protocol_name(number) for number in rule.protocols],
        }


def _outbound(reach: Iterable[Reach], nodes: tuple[WireNode, ...]) -> Iterator[dict[str, Any]]:
    by_id = {node.id: node for node in nodes}
    own_names = frozenset(OWN_ADDRESS.values())
    for each in reach:
        receivers = [by_id[number] for number in each.node_ids if number in by_id]
        if not receivers:
            # The netmap that names them is still under way.
            continue
        for origin, entries in _by_origin(each.rule):
            yield {
                "policy": _place(origin),
                "to": [short_name(node) for node in receivers],
                "ports": list(
                    dict.fromkeys(_ports(entry) for entry in entries if entry.ip in own_names)
                ),
                "destinations": _destinations(e for e in entries if e.ip not in own_names),
                "sources": list(each.rule.src_ips),
                "protocols": [protocol_name(number) for number in each.rule.protocols],
            }


def _by_origin(
    rule: FilterRule,
) -> Iterator[tuple[Origin | None, tuple[NetPortRange, ...]]]:
    """Yield what each policy rule inside a filter rule opens; all at once where that is unknown."""
    if not rule.dst_ports:
        return
    if not rule.shares:
        yield (rule.origins[0] if rule.origins else None), rule.dst_ports
        return
    at = 0
    for origin, share in zip(rule.origins, rule.shares, strict=True):
        yield origin, rule.dst_ports[at : at + share]
        at += share


def _place(origin: Origin | None) -> dict[str, Any] | None:
    if origin is None:
        return None
    return {"section": origin.section, "index": origin.position, "line": origin.line}


def _destinations(entries: Iterable[NetPortRange]) -> list[str]:
    """Spell destinations with their ports; the internet's many blocks by its name."""
    by_ports: dict[str, list[str]] = {}
    for entry in entries:
        by_ports.setdefault(_ports(entry), []).append(entry.ip)
    found = []
    for ports, texts in by_ports.items():
        if set(INTERNET) <= set(texts):
            found.append(f"{INTERNET_NAME}:{ports}")
            texts = [text for text in texts if text not in INTERNET]  # noqa: PLW2901  the rest
        found += [f"[{text}]:{ports}" if ":" in text else f"{text}:{ports}" for text in texts]
    return found


def _ports(entry: NetPortRange) -> str:
    first, last = entry.ports
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


def _with_names(nodes: tuple[WireNode, ...], decision: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **decision,
        "src_name": _named(nodes, decision["src"]),
        "dst_name": _named(nodes, decision["dst"]),
    }


def _named(nodes: tuple[WireNode, ...], text: str) -> str:
    ip = ipaddress.ip_address(text)
    for node in nodes:
        for prefix in node.addresses or ():
            if prefix.version == ip.version and ip in prefix:
                return short_name(node)
    return ""
