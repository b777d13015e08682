"""Rows as values. They are neither the wire's shapes nor the engine's; adapters lead there."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from ipaddress import IPv4Address, IPv6Address

    from control.keys import DiscoPublic, LockPublic, MachinePublic, NodePublic
    from control.wire import AddrPort, Hostinfo, Prefix

__all__ = [
    "ApiKeyRecord",
    "AuditEntry",
    "AuthKeyRecord",
    "NodeRecord",
    "OauthClientRecord",
    "OauthTokenRecord",
    "PolicyVersion",
    "RegisterMethod",
    "Role",
    "TailnetSettings",
    "UserRecord",
]


class Role(Enum):
    """What a user may do; the policy's role autogroups select by it."""

    OWNER = "owner"
    ADMIN = "admin"
    NETWORK_ADMIN = "network-admin"
    IT_ADMIN = "it-admin"
    BILLING_ADMIN = "billing-admin"
    AUDITOR = "auditor"
    MEMBER = "member"


class RegisterMethod(Enum):
    """How a node got in."""

    AUTH_KEY = "auth-key"
    CLI = "cli"
    OIDC = "oidc"
    WIREGUARD = "wireguard"
    """A plain WireGuard device, which an administrator entered with its public key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UserRecord:
    """A person, or a service that owns nodes."""

    id: int
    name: str
    display_name: str = ""
    email: str = ""
    picture_url: str = ""
    provider: str = ""
    """`oidc` or empty for users made here."""
    provider_id: str | None = None
    """Issuer and subject, which identify an OIDC user whatever else changes."""
    role: Role = Role.MEMBER
    groups: tuple[str, ...] = ()
    """Groups that the OIDC provider named at the last login."""
    created_at: datetime

    @property
    def login_name(self) -> str:
        """What nodes and policies call the user: an address, since clients split it at the @."""
        name = self.email or self.name
        return name if "@" in name else f"{name}@"


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeRecord:
    """A registered node. INVARIANT: it has a user or tags, never both."""

    id: int
    machine_key: MachinePublic
    node_key: NodePublic
    disco_key: DiscoPublic
    nl_key: LockPublic
    user_id: int | None
    auth_key_id: int | None
    register_method: RegisterMethod
    given_name: str
    """DNS label, unique in the tailnet."""
    is_renamed: bool
    """An administrator chose the name: it no longer follows the host's."""
    ipv4: IPv4Address | None
    ipv6: IPv6Address | None
    tags: tuple[str, ...]
    approved_routes: tuple[Prefix, ...]
    """Whether a person or the policy approved them."""
    policy_routes: tuple[Prefix, ...] = ()
    """Those of `approved_routes` that only the policy approved; they go with the owner."""
    hostinfo: Hostinfo
    endpoints: tuple[AddrPort, ...]
    home_derp: int
    capability_version: int
    is_ephemeral: bool
    is_authorized: bool
    expires_at: datetime | None
    last_seen: datetime | None
    created_at: datetime

    def is_expired(self, now: datetime) -> bool:
        """Return whether the node key's life is over."""
        return self.expires_at is not None and self.expires_at <= now

    @property
    def is_wireguard_only(self) -> bool:
        """Whether the node is a plain WireGuard device: it never speaks to this server."""
        return self.register_method is RegisterMethod.WIREGUARD

    @property
    def addresses(self) -> tuple[IPv4Address | IPv6Address, ...]:
        """The node's own addresses, IPv4 first."""
        return tuple(ip for ip in (self.ipv4, self.ipv6) if ip is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthKeyRecord:
    """A pre-authorised enrolment secret, of which only a hash is kept."""

    id: int
    prefix: str
    secret_hash: bytes = field(repr=False)
    user_id: int | None
    is_reusable: bool
    is_ephemeral: bool
    is_preauthorized: bool = False
    """Its nodes need no approval."""
    tags: tuple[str, ...]
    expires_at: datetime | None
    used_at: datetime | None
    revoked_at: datetime | None
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKeyRecord:
    """A secret that opens the REST API, of which only a hash is kept."""

    id: int
    prefix: str
    secret_hash: bytes = field(repr=False)
    expires_at: datetime | None
    last_used_at: datetime | None
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class OauthClientRecord:
    """A program that may get tokens of the REST API, within scopes."""

    id: int
    prefix: str
    secret_hash: bytes = field(repr=False)
    scopes: tuple[str, ...]
    tags: tuple[str, ...]
    """What it may put on nodes through auth keys."""
    description: str
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class OauthTokenRecord:
    """What a client traded its secret for."""

    id: int
    client_prefix: str
    scopes: tuple[str, ...]
    tags: tuple[str, ...]
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyVersion:
    """A policy that was in force from its time on, until the next one."""

    id: int
    text: str
    author: str
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class TailnetSettings:
    """What administrators set while the server runs; None is what the configuration says."""

    devices_approval_on: bool | None = None
    """New nodes wait until somebody approves them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """Who did what to what."""

    id: int
    at: datetime
    actor: str
    action: str
    target: str
    details: Mapping[str, object]
