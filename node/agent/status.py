"""`status` as people script against it: names and shapes of the field's clients."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from control.wire import format_time
from node.agent.desired import home_region, short_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from control.wire import DerpMap, WireNode
    from node.netmap.netmap import NetMap
    from node.state.preferences import Preferences

__all__ = ["BackendState", "PeerTraffic", "Snapshot", "region_code", "status_json"]

ZERO_TIME: Final = "0001-01-01T00:00:00Z"
ACTIVE_S: Final = 120.0


class BackendState:
    """The words for the agent's state; other tools compare with them."""

    NO_STATE = "NoState"
    NEEDS_LOGIN = "NeedsLogin"
    NEEDS_MACHINE_AUTH = "NeedsMachineAuth"
    STOPPED = "Stopped"
    STARTING = "Starting"
    RUNNING = "Running"


@dataclass(frozen=True, slots=True)
class PeerTraffic:
    """What the packet path knows of a peer."""

    received_bytes: int = 0
    sent_bytes: int = 0
    last_handshake_unix_ns: int = 0
    current_address: str = ""
    """Empty while packets go by relay."""
    is_active: bool = False


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything that `status` is made of."""

    version: str
    state: str
    preferences: Preferences
    auth_url: str = ""
    has_node_key: bool = False
    interface: str = ""
    netmap: NetMap | None = None
    own_endpoints: tuple[str, ...] = ()
    own_home: int = 0
    is_online: bool = False
    health: tuple[str, ...] = ()
    traffic: Mapping[bytes, PeerTraffic] = field(default_factory=dict)
    """By node key."""


def status_json(snapshot: Snapshot) -> dict[str, Any]:
    """Return the value that `postern status --json` prints."""
    netmap = snapshot.netmap
    dns = netmap.dns_config if netmap is not None else None
    suffix = _suffix(netmap)
    own = _own(snapshot) if netmap is not None else {}
    return {
        "Version": snapshot.version,
        "TUN": True,
        "BackendState": snapshot.state,
        "HaveNodeKey": snapshot.has_node_key,
        "AuthURL": snapshot.auth_url,
        "TailscaleIPs": own.get("TailscaleIPs"),
        "Self": own or None,
        "ExitNodeStatus": _exit_node(snapshot),
        "Health": list(snapshot.health) or None,
        "MagicDNSSuffix": suffix,
        "CurrentTailnet": None
        if netmap is None
        else {
            "Name": netmap.domain,
            "MagicDNSSuffix": suffix,
            "MagicDNSEnabled": dns is not None and dns.proxied,
        },
        "CertDomains": list(dns.cert_domains) if dns is not None and dns.cert_domains else None,
        "ExtraRecords": [
            {"Name": record.name, "Type": record.type, "Value": record.value}
            for record in (dns.extra_records or () if dns is not None else ())
        ]
        or None,
        "Peer": {
            peer.key.to_text(): _peer(snapshot, peer)
            for peer in (netmap.peers.values() if netmap is not None else ())
        },
        "User": {
            str(user.id): {
                "ID": user.id,
                "LoginName": user.login_name,
                "DisplayName": user.display_name,
                "ProfilePicURL": user.profile_pic_url,
            }
            for user in (netmap.user_profiles.values() if netmap is not None else ())
        },
        "ClientVersion": None,
    }


def _own(snapshot: Snapshot) -> dict[str, Any]:
    assert snapshot.netmap is not None  # noqa: S101  the caller looked
    node = snapshot.netmap.self_node
    return {
        **_described(node, snapshot.netmap.derp_map),
        "HostName": (node.hostinfo.hostname if node.hostinfo else "") or short_name(node),
        "Addrs": list(snapshot.own_endpoints),
        "Relay": region_code(snapshot.netmap.derp_map, snapshot.own_home),
        "Online": snapshot.is_online,
        "InEngine": False,
    }


def _peer(snapshot: Snapshot, node: WireNode) -> dict[str, Any]:
    assert snapshot.netmap is not None  # noqa: S101  the caller looked
    traffic = snapshot.traffic.get(node.key.raw, PeerTraffic())
    chosen = snapshot.preferences.exit_node
    is_exit = bool(chosen) and chosen in {short_name(node), node.name, *_ips(node)}
    return {
        **_described(node, snapshot.netmap.derp_map),
        "Addrs": [str(item) for item in node.endpoints or ()] or None,
        "CurAddr": traffic.current_address,
        "RxBytes": traffic.received_bytes,
        "TxBytes": traffic.sent_bytes,
        "LastHandshake": _unix_time(traffic.last_handshake_unix_ns),
        "ExitNode": is_exit,
        "Active": traffic.is_active,
        "InEngine": node.key.raw in snapshot.traffic,
    }


def _described(node: WireNode, derp_map: DerpMap | None) -> dict[str, Any]:
    allowed = node.addresses if node.allowed_ips is None else node.allowed_ips
    return {
        "ID": node.stable_id,
        "NodeID": node.id,
        "PublicKey": node.key.to_text(),
        "HostName": (node.hostinfo.hostname if node.hostinfo else "") or short_name(node),
        "DNSName": node.name,
        "OS": node.hostinfo.os if node.hostinfo else "",
        "UserID": node.user,
        "TailscaleIPs": _ips(node),
        "AllowedIPs": [str(prefix) for prefix in allowed or ()],
        "Tags": list(node.tags) if node.tags else None,
        "PrimaryRoutes": [str(p) for p in node.primary_routes] if node.primary_routes else None,
        "CurAddr": "",
        "Relay": region_code(derp_map, home_region(node)),
        "RxBytes": 0,
        "TxBytes": 0,
        "Created": format_time(node.created) if node.created else ZERO_TIME,
        "LastWrite": ZERO_TIME,
        "LastSeen": format_time(node.last_seen) if node.last_seen else ZERO_TIME,
        "LastHandshake": ZERO_TIME,
        "Online": bool(node.online),
        "ExitNode": False,
        "ExitNodeOption": any(prefix.prefixlen == 0 for prefix in allowed or ()),
        "Active": False,
        "CapMap": dict(node.cap_map) if node.cap_map else None,
        "InNetworkMap": True,
        "InMagicSock": True,
        "Expired": node.expired,
        "KeyExpiry": format_time(node.key_expiry) if node.key_expiry else None,
    }


def _exit_node(snapshot: Snapshot) -> dict[str, Any] | None:
    chosen, netmap = snapshot.preferences.exit_node, snapshot.netmap
    if not chosen or netmap is None:
        return None
    for node in netmap.peers.values():
        if chosen in {short_name(node), node.name, *_ips(node)}:
            ips = [str(prefix) for prefix in node.addresses or ()]
            return {"ID": node.stable_id, "Online": bool(node.online), "TailscaleIPs": ips}
    return None


def _ips(node: WireNode) -> list[str]:
    return [str(prefix.network_address) for prefix in node.addresses or ()]


def _suffix(netmap: NetMap | None) -> str:
    return netmap.self_node.name.partition(".")[2].rstrip(".") if netmap is not None else ""


def region_code(derp_map: DerpMap | None, region: int) -> str:
    """Return the short name of a relay region, empty for none."""
    found = (derp_map.regions or {}).get(region) if derp_map is not None else None
    return found.region_code if found is not None else ""


def _unix_time(unix_ns: int) -> str:
    if not unix_ns:
        return ZERO_TIME
    return format_time(datetime.fromtimestamp(unix_ns / 1e9, UTC))
