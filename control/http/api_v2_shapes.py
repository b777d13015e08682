"""JSON of API v2, in the service's shape: bodies it reads, objects it shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from control.mapper.directory import effective_routes
from control.wire import format_time

if TYPE_CHECKING:
    from datetime import datetime

    from control.registry.tailnet import Tailnet
    from control.store.records import (
        AuthKeyRecord,
        NodeRecord,
        OauthClientRecord,
        UserRecord,
    )

__all__ = [
    "AuthorizedBody",
    "CreateKeyBody",
    "DeviceKeyBody",
    "DeviceNameBody",
    "DeviceRoutesBody",
    "DeviceTagsBody",
    "SettingsBody",
    "device_json",
    "key_json",
    "oauth_key_json",
    "routes_json",
    "user_json",
]


class _Body(BaseModel):
    # Clients of the service send fields that mean nothing here.
    model_config = ConfigDict(extra="ignore", populate_by_name=True)


class AuthorizedBody(_Body):
    """Whether a device may take part."""

    authorized: bool


class DeviceNameBody(_Body):
    """A device's name."""

    name: str


class DeviceTagsBody(_Body):
    """All tags of a device."""

    tags: list[str]


class DeviceKeyBody(_Body):
    """Whether a device's key lives for ever."""

    key_expiry_disabled: bool = Field(alias="keyExpiryDisabled")


class DeviceRoutesBody(_Body):
    """All approved routes of a device."""

    routes: list[str]


class _CreateDevices(_Body):
    reusable: bool = False
    ephemeral: bool = False
    preauthorized: bool = False
    tags: list[str] = []


class _DeviceCapabilities(_Body):
    create: _CreateDevices = _CreateDevices()


class _Capabilities(_Body):
    devices: _DeviceCapabilities = _DeviceCapabilities()


class CreateKeyBody(_Body):
    """A new auth key, or a new OAuth client."""

    key_type: Literal["", "auth", "client"] = Field(default="", alias="keyType")
    capabilities: _Capabilities = _Capabilities()
    expiry_seconds: int = Field(default=90 * 86400, alias="expirySeconds", ge=1, le=90 * 86400)
    description: str = Field(default="", max_length=256)
    scopes: list[str] = []
    tags: list[str] = []


class SettingsBody(_Body):
    """Settings to change; what is left out stays."""

    model_config = ConfigDict(extra="allow")


def _time(value: datetime | None) -> str | None:
    return None if value is None else format_time(value)


def device_json(
    node: NodeRecord, tailnet: Tailnet, *, domain: str, with_all: bool
) -> dict[str, Any]:
    """Return a device; routes and connectivity only where all fields are asked for."""
    user = None if node.user_id is None else tailnet.user(node.user_id)
    raw = node.hostinfo.raw
    shown: dict[str, Any] = {
        "addresses": [str(ip) for ip in node.addresses],
        "id": str(node.id),
        "nodeId": str(node.id),
        "user": "tagged-devices" if user is None else user.login_name,
        "name": f"{node.given_name}.{domain}",
        "hostname": node.hostinfo.hostname,
        "clientVersion": str(raw.get("IPNVersion", "")),
        "updateAvailable": False,
        "os": node.hostinfo.os,
        "created": _time(node.created_at),
        "lastSeen": _time(node.last_seen),
        "connectedToControl": tailnet.is_online(node.id),
        "keyExpiryDisabled": node.expires_at is None,
        "expires": _time(node.expires_at) or "0001-01-01T00:00:00Z",
        "authorized": node.is_authorized,
        "isExternal": False,
        "isEphemeral": node.is_ephemeral,
        "machineKey": node.machine_key.to_text(),
        "nodeKey": node.node_key.to_text(),
        "blocksIncomingConnections": bool(raw.get("ShieldsUp", False)),
        "tailnetLockKey": "",
        "tailnetLockError": "",
    }
    if node.tags:
        shown["tags"] = list(node.tags)
    if with_all:
        shown |= routes_json(node)
        shown["clientConnectivity"] = {"endpoints": [str(each) for each in node.endpoints]}
    return shown


def routes_json(node: NodeRecord) -> dict[str, Any]:
    """Return what a device advertises and what of it is approved."""
    approved = dict.fromkeys((*node.approved_routes, *effective_routes(node)))
    return {
        "advertisedRoutes": [str(route) for route in node.hostinfo.routable_ips],
        "enabledRoutes": [str(route) for route in approved],
    }


def user_json(user: UserRecord, tailnet: Tailnet, *, domain: str) -> dict[str, Any]:
    """Return a user."""
    owned = [node for node in tailnet.nodes if node.user_id == user.id]
    seen = [node.last_seen for node in owned if node.last_seen is not None]
    return {
        "id": str(user.id),
        "displayName": user.display_name or user.name,
        "loginName": user.login_name,
        "profilePicUrl": user.picture_url,
        "tailnetId": domain,
        "created": _time(user.created_at),
        "type": "member",
        "role": user.role.value,
        "status": "active",
        "deviceCount": len(owned),
        "lastSeen": _time(max(seen, default=user.created_at)),
        "currentlyConnected": any(tailnet.is_online(node.id) for node in owned),
    }


def key_json(key: AuthKeyRecord, *, text: str = "") -> dict[str, Any]:
    """Return an auth key; the text only when it is new."""
    shown: dict[str, Any] = {
        "id": key.prefix,
        "keyType": "auth",
        "created": _time(key.created_at),
        "expires": _time(key.expires_at),
        "capabilities": {
            "devices": {
                "create": {
                    "reusable": key.is_reusable,
                    "ephemeral": key.is_ephemeral,
                    "preauthorized": key.is_preauthorized,
                    "tags": list(key.tags),
                }
            }
        },
    }
    if key.revoked_at is not None:
        shown["revoked"] = _time(key.revoked_at)
    return shown | ({"key": text} if text else {})


def oauth_key_json(client: OauthClientRecord, *, text: str = "") -> dict[str, Any]:
    """Return an OAuth client as a key; the secret only when it is new."""
    shown = {
        "id": client.prefix,
        "keyType": "client",
        "created": _time(client.created_at),
        "description": client.description,
        "scopes": list(client.scopes),
        "tags": list(client.tags),
    }
    return shown | ({"key": text} if text else {})
