"""Who asks: an API key, or a token of an OAuth client with what it may do."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import TYPE_CHECKING

from control.operations.oauth import ALL, covers
from control.store import secrets_at_rest
from control.store.oauth import find_oauth_token

if TYPE_CHECKING:
    from aiohttp import web

    from control.app import ControlServer

__all__ = ["Caller", "actor_of_api_key", "basic_credentials", "caller_of"]


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody with a valid secret."""

    actor: str
    """For the audit log."""
    scopes: frozenset[str]
    tags: tuple[str, ...] | None = None
    """What nodes of its auth keys may carry; None for anything."""

    def may(self, scope: str) -> bool:
        """Tell whether the caller has a scope."""
        return covers(self.scopes, scope)


async def actor_of_api_key(server: ControlServer, request: web.Request) -> str | None:
    """Return who asks with an API key as Bearer, or None for nobody whom we know."""
    scheme, _, text = request.headers.get("Authorization", "").partition(" ")
    return None if scheme.lower() != "bearer" else await _actor_of(server, text.strip())


async def caller_of(server: ControlServer, request: web.Request) -> Caller | None:
    """Return who asks with an API key or an OAuth token, as Bearer or as user name of Basic."""
    scheme, _, text = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "basic":
        text = basic_credentials(request)[0]
    elif scheme.lower() != "bearer":
        return None
    actor = await _actor_of(server, text.strip())
    if actor is not None:
        return Caller(actor, frozenset({ALL}))
    async with server.database.reading() as connection:
        token = await find_oauth_token(connection, text.strip(), server.ledger.now())
    if token is None:
        return None
    actor = f"oauth-client:{token.client_prefix}"
    return Caller(actor, frozenset(token.scopes), token.tags)


def basic_credentials(request: web.Request) -> tuple[str, str]:
    """Return user name and password of Basic authentication, empty where there are none."""
    scheme, _, text = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return "", ""
    try:
        name, _, password = base64.b64decode(text, validate=True).decode("ascii").partition(":")
    except (binascii.Error, ValueError):
        return "", ""
    return name, password


async def _actor_of(server: ControlServer, text: str) -> str | None:
    async with server.database.reading() as connection:
        key = await secrets_at_rest.find_api_key(connection, text, server.ledger.now())
    return None if key is None else f"api-key:{key.prefix}"
