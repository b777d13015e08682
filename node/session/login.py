"""Registration from the node's side, as a machine (control reference 3.2).

`request` is what to send next; `answer` takes the response and says what it means. The order in
which the response's fields are looked at is part of the protocol.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from control.keys import LockPublic, NodePrivate, NodePublic
from control.wire import (
    LOGOUT_TIME,
    ZERO_TIME,
    Hostinfo,
    RegisterAuth,
    RegisterRequest,
    RegisterResponse,
    capability,
)

if TYPE_CHECKING:
    from datetime import datetime

    from control.keys import Entropy

__all__ = [
    "Login",
    "LoginFailed",
    "LoginOutcome",
    "NeedsBrowser",
    "NewKey",
    "Registered",
    "logout_request",
]

_MAX_NEW_KEYS: Final = 2


@dataclass(frozen=True, slots=True)
class Registered:
    """The server knows the node; the key may be kept."""

    node_key: NodePrivate
    login_name: str
    is_authorized: bool
    """False while an administrator still has to approve the node."""


@dataclass(frozen=True, slots=True)
class NeedsBrowser:
    """A person must open the URL; the next request waits for that."""

    url: str


@dataclass(frozen=True, slots=True)
class NewKey:
    """The old key is over; the next request has a new one."""

    node_key: NodePrivate


@dataclass(frozen=True, slots=True)
class LoginFailed:
    """The server said no; the text is for the node's user."""

    text: str


LoginOutcome = Registered | NeedsBrowser | NewKey | LoginFailed


@dataclass(slots=True)
class Login:
    """One attempt to be registered."""

    node_key: NodePrivate
    hostinfo: Hostinfo
    entropy: Entropy = field(repr=False)
    auth_key: str = field(default="", repr=False)
    old_node_key: NodePublic = field(default_factory=NodePublic.zero)
    is_ephemeral: bool = False
    nl_key: LockPublic = field(default_factory=LockPublic.zero)
    expiry: datetime = ZERO_TIME
    _followup: str = ""
    _new_keys: int = 0

    @property
    def request(self) -> RegisterRequest:
        """What to send next."""
        has_key = self.auth_key and not self._followup
        return RegisterRequest(
            version=capability.SPOKEN_BY_OUR_NODE,
            node_key=self.node_key.public,
            old_node_key=self.old_node_key,
            nl_key=self.nl_key,
            auth=RegisterAuth(auth_key=self.auth_key) if has_key else None,
            expiry=self.expiry,
            followup=self._followup,
            hostinfo=self.hostinfo,
            ephemeral=self.is_ephemeral,
        )

    def answer(self, response: RegisterResponse) -> LoginOutcome:
        """Take the server's answer to `request`."""
        if response.error:
            return LoginFailed(response.error)
        if response.node_key_expired:
            return self._with_new_key()
        if response.auth_url:
            self._followup = response.auth_url
            return NeedsBrowser(response.auth_url)
        return Registered(self.node_key, response.login.login_name, response.machine_authorized)

    def _with_new_key(self) -> LoginOutcome:
        # A server that calls every new key expired would keep us here for ever.
        if self._new_keys == _MAX_NEW_KEYS:
            return LoginFailed("the server says that a new node key has expired already")
        self._new_keys += 1
        self.old_node_key = self.node_key.public
        self.node_key = NodePrivate.generate(self.entropy)
        self._followup = ""
        return NewKey(self.node_key)


def logout_request(node_key: NodePublic) -> RegisterRequest:
    """Return the request that ends a node key's life."""
    return replace(
        RegisterRequest(version=capability.SPOKEN_BY_OUR_NODE, node_key=node_key),
        expiry=LOGOUT_TIME,
        hostinfo=Hostinfo(),
    )
