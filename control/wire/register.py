"""`/machine/register`: how a node gets its identity (control reference 3)."""

# ruff: noqa: RUF009  (the calls in field defaults declare fields; they make no values)

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from control.keys import LockPublic, NodePublic
from control.wire._codec import Message, always, maybe, message, nullable, plain
from control.wire._scalars import BASE64, BOOL, INT, LOCK_KEY, NODE_KEY, TEXT, TIME, ZERO_TIME
from control.wire.hostinfo import HOSTINFO
from control.wire.user import Login, User

if TYPE_CHECKING:
    from control.wire.hostinfo import Hostinfo

__all__ = ["LOGOUT_TIME", "RegisterAuth", "RegisterRequest", "RegisterResponse"]

LOGOUT_TIME: Final = datetime(1970, 1, 1, 0, 2, 3, tzinfo=UTC)
"""The expiry that a node asks for to log out; any time in the past does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterAuth(Message):
    """What a node shows instead of a person: an auth key."""

    auth_key: str = plain("AuthKey", TEXT, zero="", is_secret=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterRequest(Message):
    """A node asks to be registered, re-registered or logged out."""

    version: int = always("Version", INT, zero=0)
    node_key: NodePublic = always("NodeKey", NODE_KEY, zero=NodePublic.zero())
    old_node_key: NodePublic = always("OldNodeKey", NODE_KEY, zero=NodePublic.zero())
    nl_key: LockPublic = always("NLKey", LOCK_KEY, zero=LockPublic.zero())
    auth: RegisterAuth | None = maybe("Auth", message(RegisterAuth))
    expiry: datetime = always("Expiry", TIME, zero=ZERO_TIME)
    """Wanted key expiry; ZERO_TIME asks for nothing, a time in the past logs out."""
    followup: str = always("Followup", TEXT, zero="")
    """The AuthURL of an earlier answer: wait until a person has decided about it."""
    hostinfo: Hostinfo | None = always("Hostinfo", nullable(HOSTINFO), zero=None)
    ephemeral: bool = plain("Ephemeral", BOOL, zero=False)
    node_key_signature: bytes | None = always("NodeKeySignature", nullable(BASE64), zero=None)
    timestamp: datetime | None = maybe("Timestamp", TIME)
    tailnet: str = plain("Tailnet", TEXT, zero="")


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterResponse(Message):
    """The server's answer. A node looks at the fields in the order of control reference 3.2."""

    user: User = always("User", message(User), zero=User())
    login: Login = always("Login", message(Login), zero=Login())
    node_key_expired: bool = always("NodeKeyExpired", BOOL, zero=False)
    machine_authorized: bool = always("MachineAuthorized", BOOL, zero=False)
    auth_url: str = always("AuthURL", TEXT, zero="")
    node_key_signature: bytes | None = always("NodeKeySignature", nullable(BASE64), zero=None)
    error: str = always("Error", TEXT, zero="")
    """For people, shown as it is; ends the login."""
