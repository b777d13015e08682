"""Netmaps for tests, from a few words for each node."""

from __future__ import annotations

import ipaddress
from typing import Any

from control.keys import DiscoPublic, NodePublic
from control.wire import DnsConfig, UserProfile, WireNode
from node.netmap.netmap import NetMap

DOMAIN = "tail.example"


def wire_node(number: int, name: str = "", **values: Any) -> WireNode:
    """Return a node with the addresses 100.64.0.N and fd7a:115c:a1e0::N."""
    merged: dict[str, Any] = {
        "id": number,
        "stable_id": f"n{number}",
        "name": f"{name or f'node{number}'}.{DOMAIN}.",
        "key": NodePublic(bytes([number]) * 32),
        "disco_key": DiscoPublic(bytes([100 + number]) * 32),
        "addresses": prefixes(f"100.64.0.{number}/32", f"fd7a:115c:a1e0::{number:x}/128"),
        "user": 1,
        "online": True,
        **values,
    }
    return WireNode(**merged)


def prefixes(*texts: str) -> tuple[Any, ...]:
    return tuple(ipaddress.ip_network(text) for text in texts)


def netmap(*peers: WireNode, own: WireNode | None = None, **values: Any) -> NetMap:
    """Return the netmap of node 1."""
    merged: dict[str, Any] = {
        "self_node": own or wire_node(1, "own"),
        "peers": {peer.id: peer for peer in peers},
        "domain": DOMAIN,
        "user_profiles": {1: UserProfile(id=1, login_name="ann@example.com")},
        "dns_config": DnsConfig(
            domains=(DOMAIN,), proxied=True, routes={DOMAIN: (), "64.100.in-addr.arpa": ()}
        ),
        **values,
    }
    return NetMap(**merged)
