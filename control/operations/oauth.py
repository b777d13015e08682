"""OAuth clients as operators handle them, and the tokens that they get (RFC 6749, 4.4)."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import TYPE_CHECKING, Final, NamedTuple

from control.errors import InvalidRequestError
from control.store import oauth
from control.store.secrets_at_rest import Secret, SecretKind

if TYPE_CHECKING:
    from control.registry.ledger import Ledger
    from control.store.records import OauthClientRecord

__all__ = [
    "ALL",
    "SCOPES",
    "IssuedClient",
    "IssuedToken",
    "NoSuchClientError",
    "covers",
    "delete_client",
    "issue_client",
    "issue_token",
    "list_clients",
]

ALL: Final = "all"
_AREAS: Final = (
    "auth_keys",
    "oauth_keys",
    "devices:core",
    "devices:routes",
    "policy_file",
    "feature_settings",
    "users",
)
SCOPES: Final = frozenset({ALL, f"{ALL}:read", *_AREAS, *(f"{area}:read" for area in _AREAS)})
"""What can be granted; each with `:read` grants no more than looking."""
_TOKEN_LIFE: Final = timedelta(hours=1)


class IssuedClient(NamedTuple):
    """A new client and its secret."""

    record: OauthClientRecord
    text: str


class IssuedToken(NamedTuple):
    """A new token."""

    text: str
    life: timedelta
    scopes: tuple[str, ...]


class NoSuchClientError(InvalidRequestError):
    """The secret is no client's."""


def covers(held: frozenset[str], wanted: str) -> bool:
    """Tell whether scopes grant a wanted one."""
    if wanted in held or ALL in held:
        return True
    area, _, verb = wanted.rpartition(":")
    return verb == "read" and (area in held or f"{ALL}:read" in held)


async def issue_client(
    ledger: Ledger, actor: str, *, scopes: tuple[str, ...], tags: tuple[str, ...], description: str
) -> IssuedClient:
    """Make a client; raises InvalidRequestError."""
    if not scopes:
        raise InvalidRequestError(f"scopes are needed: some of {', '.join(sorted(SCOPES))}")
    for scope in scopes:
        if scope not in SCOPES:
            raise InvalidRequestError(
                f"scope {scope!r} does not exist; choose of {', '.join(sorted(SCOPES))}"
            )
    if any(not tag.startswith("tag:") for tag in tags):
        raise InvalidRequestError("tags are written tag:NAME")
    if "auth_keys" in scopes and not tags:
        raise InvalidRequestError(
            "auth_keys needs tags: what nodes of such keys belong to, since a program is no user"
        )
    secret = Secret.generate(SecretKind.CLIENT, os.urandom)
    async with ledger.transaction(actor) as transaction:
        record = await oauth.add_oauth_client(
            transaction.connection,
            secret,
            scopes=tuple(sorted(set(scopes))),
            tags=tuple(sorted(set(tags))),
            description=description,
            now=transaction.now,
        )
        await transaction.audit("oauth-client.create", f"oauth-client:{record.prefix}")
    return IssuedClient(record, secret.to_secret_text())


async def list_clients(ledger: Ledger) -> list[OauthClientRecord]:
    """Return all clients."""
    async with ledger.database.reading() as connection:
        return await oauth.oauth_clients(connection)


async def delete_client(ledger: Ledger, actor: str, client_id: int) -> None:
    """Delete a client; its tokens open nothing any more."""
    async with ledger.transaction(actor) as transaction:
        await oauth.delete_oauth_client(transaction.connection, client_id)
        await transaction.audit("oauth-client.delete", f"oauth-client:{client_id}")


async def issue_token(
    ledger: Ledger, secret_text: str, *, scopes: tuple[str, ...], tags: tuple[str, ...]
) -> IssuedToken:
    """Trade a client's secret for a token, with fewer scopes and tags if asked to.

    Raises NoSuchClientError, or InvalidRequestError for more than the client has.
    """
    async with ledger.database.writing() as connection:
        client = await oauth.find_oauth_client(connection, secret_text)
        if client is None:
            raise NoSuchClientError("the client's secret is wrong")
        held = frozenset(client.scopes)
        if not all(covers(held, scope) for scope in scopes):
            raise InvalidRequestError("the client does not have these scopes")
        if not set(tags) <= set(client.tags):
            raise InvalidRequestError("the client does not have these tags")
        token = Secret.generate(SecretKind.TOKEN, os.urandom)
        now = ledger.now()
        await oauth.add_oauth_token(
            connection,
            token,
            client=client,
            scopes=scopes or client.scopes,
            tags=tags or client.tags,
            expires_at=now + _TOKEN_LIFE,
            now=now,
        )
    return IssuedToken(token.to_secret_text(), _TOKEN_LIFE, scopes or client.scopes)
