"""A node as other nodes see it, and as it sees itself (control reference 4.7)."""

# ruff: noqa: RUF009  (the calls in field defaults declare fields; they make no values)

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from control.keys import DiscoPublic, MachinePublic
from control.wire._codec import (
    Message,
    always,
    list_of,
    map_of,
    maybe,
    nullable,
    plain,
    required,
)
from control.wire._scalars import (
    ADDR_PORT,
    BASE64,
    BOOL,
    DISCO_KEY,
    INT,
    MACHINE_KEY,
    NODE_KEY,
    PREFIX,
    RAW,
    TEXT,
    TIME,
)
from control.wire.hostinfo import HOSTINFO

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from control.keys import NodePublic
    from control.wire._codec import Json
    from control.wire._scalars import Prefix
    from control.wire.endpoint import AddrPort
    from control.wire.hostinfo import Hostinfo

__all__ = ["CAP_MAP", "WireNode"]

CAP_MAP = map_of(nullable(RAW))
"""Capability to its values: a list, or None for a plain flag."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WireNode(Message):
    """One node of a netmap."""

    id: int = required("ID", INT)
    """Above 0, never used again."""
    stable_id: str = always("StableID", TEXT, zero="")
    name: str = always("Name", TEXT, zero="")
    """MagicDNS name with its trailing dot."""
    user: int = always("User", INT, zero=0)
    sharer: int = plain("Sharer", INT, zero=0)
    key: NodePublic = required("Key", NODE_KEY)
    key_expiry: datetime | None = maybe("KeyExpiry", TIME)
    """None never expires."""
    key_signature: bytes | None = maybe("KeySignature", BASE64)
    machine: MachinePublic = plain("Machine", MACHINE_KEY, zero=MachinePublic.zero())
    disco_key: DiscoPublic = plain("DiscoKey", DISCO_KEY, zero=DiscoPublic.zero())
    addresses: tuple[Prefix, ...] | None = always("Addresses", nullable(list_of(PREFIX)), zero=None)
    allowed_ips: tuple[Prefix, ...] | None = maybe("AllowedIPs", list_of(PREFIX))
    """None stands for `addresses`."""
    endpoints: tuple[AddrPort, ...] | None = maybe("Endpoints", list_of(ADDR_PORT))
    derp: str = plain("DERP", TEXT, zero="")
    home_derp: int = plain("HomeDERP", INT, zero=0)
    hostinfo: Hostinfo | None = maybe("Hostinfo", HOSTINFO)
    created: datetime | None = maybe("Created", TIME)
    cap: int = plain("Cap", INT, zero=0)
    tags: tuple[str, ...] | None = maybe("Tags", list_of(TEXT))
    primary_routes: tuple[Prefix, ...] | None = maybe("PrimaryRoutes", list_of(PREFIX))
    last_seen: datetime | None = maybe("LastSeen", TIME)
    """Only for nodes that are offline."""
    online: bool | None = maybe("Online", BOOL)
    """None is unknown."""
    machine_authorized: bool = plain("MachineAuthorized", BOOL, zero=False)
    cap_map: Mapping[str, Json] | None = maybe("CapMap", CAP_MAP)
    unsigned_peer_api_only: bool = plain("UnsignedPeerAPIOnly", BOOL, zero=False)
    expired: bool = plain("Expired", BOOL, zero=False)
    is_wireguard_only: bool = plain("IsWireGuardOnly", BOOL, zero=False)
    is_jailed: bool = plain("IsJailed", BOOL, zero=False)
