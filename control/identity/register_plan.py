"""What a register request asks for, decided from the state in memory (control reference 3.6).

Only the decision is here; carrying it out needs the database and belongs to
`control.identity.registrar`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from control.wire import ZERO_TIME

if TYPE_CHECKING:
    from datetime import datetime

    from control.keys import MachinePublic
    from control.registry.tailnet import Tailnet
    from control.store.records import NodeRecord
    from control.wire import RegisterRequest

__all__ = [
    "AuthKeyLogin",
    "Continue",
    "FollowUp",
    "KeyExpired",
    "LogOut",
    "NewLogin",
    "Refuse",
    "RegisterPlan",
    "Shorten",
    "plan_registration",
]


@dataclass(frozen=True, slots=True)
class LogOut:
    """End the node key's life now. `node` is None where there is nothing to end."""

    node: NodeRecord | None


@dataclass(frozen=True, slots=True)
class Shorten:
    """Let the node key end earlier than it would."""

    node: NodeRecord
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Continue:
    """The node is known and its key is good: say so."""

    node: NodeRecord


@dataclass(frozen=True, slots=True)
class KeyExpired:
    """The node is known, but needs a new key and a new login."""

    node: NodeRecord


@dataclass(frozen=True, slots=True)
class FollowUp:
    """Wait until a person has decided about an earlier request."""

    login_id: str


@dataclass(frozen=True, slots=True)
class AuthKeyLogin:
    """Let the node in if its auth key does, or if it is in already and nothing would change."""

    auth_key: str = field(repr=False)
    node: NodeRecord | None
    """The node as it is, where it is known under this node key and has not expired."""


@dataclass(frozen=True, slots=True)
class NewLogin:
    """Ask a person."""


@dataclass(frozen=True, slots=True)
class Refuse:
    """Say no, with a text for the node's user."""

    text: str


RegisterPlan = (
    LogOut | Shorten | Continue | KeyExpired | FollowUp | AuthKeyLogin | NewLogin | Refuse
)

_FOLLOW_UP_MARK = "/register/"


def plan_registration(
    request: RegisterRequest, machine: MachinePublic, tailnet: Tailnet, now: datetime
) -> RegisterPlan:
    """Decide what to do with a request from the holder of `machine`."""
    if request.node_key.is_zero:
        return Refuse("register request without a node key")
    holder = tailnet.node_by_key(request.node_key)
    # A foreign node is treated as an unknown one: whoever knows a node key learns nothing by it,
    # and the login that follows does not get it.
    node = holder if holder is not None and holder.machine_key == machine else None
    if request.expiry != ZERO_TIME and request.expiry <= now:
        return LogOut(node)
    if request.followup:
        return _follow_up(request.followup)
    if node is not None and request.expiry != ZERO_TIME:
        return _shortened(node, request.expiry)
    if request.auth is not None and request.auth.auth_key:
        return _auth_key_login(request.auth.auth_key, node, now)
    if node is not None:
        return KeyExpired(node) if node.is_expired(now) else Continue(node)
    return NewLogin()


def _follow_up(url: str) -> RegisterPlan:
    """Take the login out of the URL's path; who the host claims to be does not matter."""
    _, scheme_mark, rest = url.partition("://")
    slash = rest.find("/") if scheme_mark else -1
    path = rest[slash:] if slash >= 0 else ""
    login_id = path.removeprefix(_FOLLOW_UP_MARK)
    if not path.startswith(_FOLLOW_UP_MARK) or not _is_login_id(login_id):
        return Refuse("follow-up with a URL that this server did not make; log in again")
    return FollowUp(login_id)


def _is_login_id(text: str) -> bool:
    return 0 < len(text) <= 64 and text.isascii() and text.replace("-", "").isalnum()


def _shortened(node: NodeRecord, expires_at: datetime) -> RegisterPlan:
    if node.expires_at is not None and expires_at <= node.expires_at:
        return Shorten(node, expires_at)
    return Refuse("extending key is not allowed; log in again instead")


def _auth_key_login(auth_key: str, node: NodeRecord | None, now: datetime) -> RegisterPlan:
    is_living = node is not None and not node.is_expired(now)
    return AuthKeyLogin(auth_key, node if is_living else None)
