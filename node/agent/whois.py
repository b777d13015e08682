"""Who is behind an address of the tailnet."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any

from engine.evaluate import PeerCapabilities
from engine.netset import Address
from node.state.preferences import PreferencesError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from control.wire import WireNode
    from engine.rules import FilterRule
    from node.netmap.netmap import NetMap

__all__ = ["whois_json"]


def whois_json(
    netmap: NetMap | None, text: str, rules: Iterable[FilterRule] = ()
) -> dict[str, Any]:
    """Return node and user of an address, with or without a port. Raises PreferencesError.

    `CapMap` is what this node's filter grants to the address (policy reference 7.4).
    """
    ip = _address(text)
    node = _owner(netmap, ip) if netmap is not None else None
    if netmap is None or node is None:
        raise PreferencesError(f"{text}: no node of this netmap has the address")
    user = netmap.user_profiles.get(node.user)
    return {
        "Node": {
            "ID": node.id,
            "StableID": node.stable_id,
            "Name": node.name,
            "Addresses": [str(prefix) for prefix in node.addresses or ()],
            "AllowedIPs": [str(prefix) for prefix in node.allowed_ips or node.addresses or ()],
            "Tags": list(node.tags) if node.tags else None,
        },
        "UserProfile": {
            "ID": node.user,
            "LoginName": user.login_name if user is not None else "",
            "DisplayName": user.display_name if user is not None else "",
        },
        "CapMap": _granted(netmap.self_node, ip, rules),
    }


def _granted(
    own: WireNode,
    ip: ipaddress.IPv4Address | ipaddress.IPv6Address,
    rules: Iterable[FilterRule],
) -> dict[str, Any] | None:
    capabilities = PeerCapabilities(rules)
    for prefix in own.addresses or ():
        if prefix.version == ip.version:
            here = Address(prefix.version, int(prefix.network_address))
            return capabilities.granted(Address(ip.version, int(ip)), here)
    return None


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    host = text
    if text.startswith("["):
        host = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        host = text.partition(":")[0]
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        raise PreferencesError(f"{text!r}: expected IP or IP:PORT") from None


def _owner(netmap: NetMap, ip: ipaddress.IPv4Address | ipaddress.IPv6Address) -> WireNode | None:
    for node in (netmap.self_node, *netmap.peers.values()):
        if any(prefix.version == ip.version and ip in prefix for prefix in node.addresses or ()):
            return node
    return None
