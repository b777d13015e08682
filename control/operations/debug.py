"""Nodes that are not there, for trying policies and the command line."""

from __future__ import annotations

import os
import re
from ipaddress import ip_network
from typing import TYPE_CHECKING, Final

from control.errors import AlreadyExistsError, InvalidRequestError
from control.identity.logins import LOGIN_ID
from control.keys import MachinePrivate, NodePrivate
from control.wire import Hostinfo, RegisterRequest, capability

if TYPE_CHECKING:
    from control.identity.logins import Login, Logins

__all__ = ["imagine_login"]

_LOGIN_ID: Final = re.compile(LOGIN_ID, re.ASCII)


def imagine_login(logins: Logins, name: str, login_id: str, routes: tuple[str, ...]) -> Login:
    """Make a login wait as if a node with fresh keys had asked; raises ControlError."""
    if login_id and not _LOGIN_ID.fullmatch(login_id):
        raise InvalidRequestError("key: hskey-authreq- and 24 hexadecimal digits, or nothing")
    if login_id and logins.find(login_id) is not None:
        raise AlreadyExistsError("a login with this key waits already")
    try:
        prefixes = [str(ip_network(route)) for route in routes]
    except ValueError as error:
        raise InvalidRequestError(f"route: {error}") from None
    hostinfo = Hostinfo({"Hostname": name, "OS": "debug", "RoutableIPs": prefixes})
    request = RegisterRequest(
        version=capability.MINIMUM,
        node_key=NodePrivate.generate(os.urandom).public,
        hostinfo=hostinfo,
    )
    machine = MachinePrivate.generate(os.urandom).public
    return logins.start(machine, request, capability.MINIMUM, login_id=login_id)
