"""Records to test with: every field filled in, any of them replaced."""

from __future__ import annotations

from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv6Address, ip_network
from typing import Any

from control.keys import DiscoPublic, LockPublic, MachinePublic, NodePublic
from control.store.records import NodeRecord, RegisterMethod, Role, UserRecord
from control.wire import Hostinfo, parse_addr_port

__all__ = ["NOW", "node_record", "user_record"]

NOW = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)


def user_record(**changes: Any) -> UserRecord:
    """Return a user."""
    values: dict[str, Any] = {
        "id": 1,
        "name": "ann",
        "display_name": "Ann",
        "email": "ann@example.com",
        "picture_url": "https://example.com/ann.png",
        "provider": "oidc",
        "provider_id": "https://issuer.example/ann",
        "role": Role.ADMIN,
        "groups": ("engineering",),
        "created_at": NOW,
    }
    return UserRecord(**{**values, **changes})


def node_record(number: int = 1, **changes: Any) -> NodeRecord:
    """Return a node whose keys, name and addresses follow from its number."""
    seed = number.to_bytes(4, "big") * 8
    values: dict[str, Any] = {
        "id": number,
        "machine_key": MachinePublic(seed),
        "node_key": NodePublic(seed),
        "disco_key": DiscoPublic(seed),
        "nl_key": LockPublic(seed),
        "user_id": 1,
        "auth_key_id": None,
        "register_method": RegisterMethod.CLI,
        "given_name": f"node-{number}",
        "is_renamed": False,
        "ipv4": IPv4Address("100.64.0.0") + number,
        "ipv6": IPv6Address("fd7a:115c:a1e0::") + number,
        "tags": (),
        "approved_routes": (ip_network("10.0.0.0/24"),),
        "hostinfo": Hostinfo({"Hostname": f"node-{number}", "OS": "linux"}),
        "endpoints": (parse_addr_port("192.0.2.1:41641"),),
        "home_derp": 900,
        "capability_version": 113,
        "is_ephemeral": False,
        "is_authorized": True,
        "expires_at": None,
        "last_seen": NOW,
        "created_at": NOW,
    }
    return NodeRecord(**{**values, **changes})
