"""JSON of the REST API: bodies it reads, objects it shows. Numbers are texts, times RFC 3339."""

from __future__ import annotations

from datetime import datetime  # noqa: TC003  pydantic reads it when it runs
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field

from control.mapper.directory import effective_routes
from control.store.records import RegisterMethod
from control.wire import format_time

if TYPE_CHECKING:
    from control.registry.tailnet import Tailnet
    from control.store.records import (
        ApiKeyRecord,
        AuthKeyRecord,
        NodeRecord,
        OauthClientRecord,
        PolicyVersion,
        UserRecord,
    )

__all__ = [
    "ApiKeyBody",
    "ApiKeyRef",
    "AuthBody",
    "AuthRegisterBody",
    "CreateUserBody",
    "DebugNodeBody",
    "DiffPolicyBody",
    "ExpireNodeBody",
    "KeyIdBody",
    "OauthClientBody",
    "PolicyBody",
    "PreAuthKeyBody",
    "RoleBody",
    "RollbackBody",
    "RoutesBody",
    "SetPolicyBody",
    "TagsBody",
    "WireGuardBody",
    "api_key_json",
    "auth_key_json",
    "node_json",
    "oauth_client_json",
    "policy_version_json",
    "user_json",
]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", populate_by_name=True)


class CreateUserBody(_Body):
    """A new user."""

    name: str
    display_name: str = Field(default="", alias="displayName")
    email: str = ""
    picture_url: str = Field(default="", alias="pictureUrl")


class RoleBody(_Body):
    """Another role."""

    role: str


class ExpireNodeBody(_Body):
    """When a node key ends: now if nothing is said."""

    expiry: datetime | None = None
    disable_expiry: bool = Field(default=False, alias="disableExpiry")


class TagsBody(_Body):
    """All tags of a node."""

    tags: list[str]


class RoutesBody(_Body):
    """All approved routes of a node."""

    routes: list[str]


class PreAuthKeyBody(_Body):
    """A new auth key."""

    user: int | None = None
    reusable: bool = False
    ephemeral: bool = False
    preauthorized: bool = False
    expiration: datetime | None = None
    acl_tags: list[str] = Field(default=[], alias="aclTags")


class WireGuardBody(_Body):
    """A plain WireGuard device that becomes a node; the key is WireGuard's base64."""

    name: str
    user: str = ""
    tags: list[str] = []
    public_key: str = Field(alias="publicKey")
    endpoint: str = ""


class KeyIdBody(_Body):
    """Which auth key is meant."""

    id: int


class ApiKeyBody(_Body):
    """A new API key."""

    expiration: datetime | None = None


class ApiKeyRef(_Body):
    """Which API key is meant."""

    prefix: str = ""
    id: int | None = None


class PolicyBody(_Body):
    """A policy in HuJSON."""

    policy: str


class SetPolicyBody(PolicyBody):
    """A policy, and whether tests about names that no device has yet may wait."""

    pending_tests: bool = Field(default=False, alias="pendingTests")


class DiffPolicyBody(PolicyBody):
    """A policy to compare with the one in force, or with an earlier version."""

    version: int | None = None


class OauthClientBody(_Body):
    """A new OAuth client."""

    scopes: list[str] = Field(min_length=1)
    tags: list[str] = []
    description: str = Field(default="", max_length=256)


class DebugNodeBody(_Body):
    """A node that is not there."""

    user: str
    name: str
    key: str = ""
    routes: list[str] = []


class RollbackBody(_Body):
    """Which version to put in force again."""

    version: int


class AuthRegisterBody(_Body):
    """Whose node a waiting login becomes: a user by number or by name."""

    user: str
    auth_id: str = Field(alias="authId")


class AuthBody(_Body):
    """Which waiting login is meant."""

    auth_id: str = Field(alias="authId")


def _time(value: datetime | None) -> str | None:
    return None if value is None else format_time(value)


def user_json(user: UserRecord) -> dict[str, Any]:
    """Return a user as the API shows it."""
    return {
        "id": str(user.id),
        "name": user.name,
        "displayName": user.display_name,
        "email": user.email,
        "profilePicUrl": user.picture_url,
        "provider": user.provider,
        "providerId": user.provider_id or "",
        "role": user.role.value,
        "groups": list(user.groups),
        "createdAt": _time(user.created_at),
    }


_METHOD = {
    RegisterMethod.AUTH_KEY: "REGISTER_METHOD_AUTH_KEY",
    RegisterMethod.CLI: "REGISTER_METHOD_CLI",
    RegisterMethod.OIDC: "REGISTER_METHOD_OIDC",
    RegisterMethod.WIREGUARD: "REGISTER_METHOD_WIREGUARD",
}


def node_json(node: NodeRecord, tailnet: Tailnet) -> dict[str, Any]:
    """Return a node as the API shows it."""
    user = None if node.user_id is None else tailnet.user(node.user_id)
    return {
        "id": str(node.id),
        "machineKey": node.machine_key.to_text(),
        "nodeKey": node.node_key.to_text(),
        "discoKey": node.disco_key.to_text(),
        "ipAddresses": [str(ip) for ip in node.addresses],
        "name": node.hostinfo.hostname,
        "user": None if user is None else user_json(user),
        "lastSeen": _time(node.last_seen),
        "expiry": _time(node.expires_at),
        "createdAt": _time(node.created_at),
        "registerMethod": _METHOD[node.register_method],
        "givenName": node.given_name,
        "online": tailnet.is_online(node.id),
        "authorized": node.is_authorized,
        "ephemeral": node.is_ephemeral,
        "approvedRoutes": [str(route) for route in node.approved_routes],
        "availableRoutes": [str(route) for route in node.hostinfo.routable_ips],
        "subnetRoutes": [str(route) for route in effective_routes(node)],
        "tags": list(node.tags),
    }


def auth_key_json(key: AuthKeyRecord, tailnet: Tailnet, *, text: str = "") -> dict[str, Any]:
    """Return an auth key as the API shows it; the text only when it is new."""
    user = None if key.user_id is None else tailnet.user(key.user_id)
    return {
        "id": str(key.id),
        "key": text or f"hskey-auth-{key.prefix}-***",
        "user": None if user is None else user_json(user),
        "reusable": key.is_reusable,
        "ephemeral": key.is_ephemeral,
        "used": key.used_at is not None,
        "revoked": key.revoked_at is not None,
        "expiration": _time(key.expires_at),
        "createdAt": _time(key.created_at),
        "aclTags": list(key.tags),
    }


def api_key_json(key: ApiKeyRecord) -> dict[str, Any]:
    """Return an API key as the API shows it."""
    return {
        "id": str(key.id),
        "prefix": key.prefix,
        "expiration": _time(key.expires_at),
        "createdAt": _time(key.created_at),
        "lastSeen": _time(key.last_used_at),
    }


def oauth_client_json(client: OauthClientRecord) -> dict[str, Any]:
    """Return an OAuth client as the API shows it."""
    return {
        "id": str(client.id),
        "clientId": client.prefix,
        "scopes": list(client.scopes),
        "tags": list(client.tags),
        "description": client.description,
        "createdAt": _time(client.created_at),
    }


def policy_version_json(version: PolicyVersion) -> dict[str, Any]:
    """Return a version of the policy, without its text."""
    return {
        "version": version.id,
        "author": version.author,
        "createdAt": _time(version.created_at),
        "bytes": len(version.text.encode(errors="surrogateescape")),
    }
