"""OAuth clients and their tokens, one statement each; of secrets only hashes are kept."""

from __future__ import annotations

from hmac import compare_digest
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from control.errors import NotFoundError
from control.store.records import OauthClientRecord, OauthTokenRecord
from control.store.schema import OAUTH_CLIENTS, OAUTH_TOKENS
from control.store.secrets_at_rest import Secret, SecretKind

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from sqlalchemy.ext.asyncio import AsyncConnection

__all__ = [
    "add_oauth_client",
    "add_oauth_token",
    "delete_oauth_client",
    "find_oauth_client",
    "find_oauth_token",
    "oauth_clients",
]


async def add_oauth_client(
    connection: AsyncConnection,
    secret: Secret,
    *,
    scopes: tuple[str, ...],
    tags: tuple[str, ...],
    description: str,
    now: datetime,
) -> OauthClientRecord:
    """Insert a client."""
    row = {
        "prefix": secret.prefix,
        "secret_hash": secret.digest,
        "scopes": list(scopes),
        "tags": list(tags),
        "description": description,
        "created_at": now,
    }
    statement = OAUTH_CLIENTS.insert().values(**row).returning(OAUTH_CLIENTS.c.id)
    client_id = (await connection.execute(statement)).scalar_one()
    return _client_of_row({"id": client_id, **row})


async def oauth_clients(connection: AsyncConnection) -> list[OauthClientRecord]:
    """Return all clients by number."""
    statement = sa.select(OAUTH_CLIENTS).order_by(OAUTH_CLIENTS.c.id)
    return [_client_of_row(dict(row)) for row in (await connection.execute(statement)).mappings()]


async def find_oauth_client(connection: AsyncConnection, text: str) -> OauthClientRecord | None:
    """Return the client whose secret the text is."""
    secret = Secret.from_text(text)
    if secret is None or secret.kind is not SecretKind.CLIENT:
        return None
    statement = sa.select(OAUTH_CLIENTS).where(OAUTH_CLIENTS.c.prefix == secret.prefix)
    row = (await connection.execute(statement)).mappings().one_or_none()
    if row is None or not compare_digest(row["secret_hash"], secret.digest):
        return None
    return _client_of_row(dict(row))


async def delete_oauth_client(connection: AsyncConnection, client_id: int) -> None:
    """Delete a client and its tokens; raises NotFoundError."""
    await connection.execute(OAUTH_TOKENS.delete().where(OAUTH_TOKENS.c.client_id == client_id))
    result = await connection.execute(OAUTH_CLIENTS.delete().where(OAUTH_CLIENTS.c.id == client_id))
    if result.rowcount == 0:
        raise NotFoundError(f"there is no OAuth client {client_id}")


async def add_oauth_token(
    connection: AsyncConnection,
    secret: Secret,
    *,
    client: OauthClientRecord,
    scopes: tuple[str, ...],
    tags: tuple[str, ...],
    expires_at: datetime,
    now: datetime,
) -> None:
    """Insert a token, and forget those that ran out."""
    await connection.execute(OAUTH_TOKENS.delete().where(OAUTH_TOKENS.c.expires_at <= now))
    await connection.execute(
        OAUTH_TOKENS.insert().values(
            prefix=secret.prefix,
            secret_hash=secret.digest,
            client_id=client.id,
            scopes=list(scopes),
            tags=list(tags),
            expires_at=expires_at,
            created_at=now,
        )
    )


async def find_oauth_token(
    connection: AsyncConnection, text: str, now: datetime
) -> OauthTokenRecord | None:
    """Return the token that the text is, if it still opens anything."""
    secret = Secret.from_text(text)
    if secret is None or secret.kind is not SecretKind.TOKEN:
        return None
    statement = (
        sa.select(OAUTH_TOKENS, OAUTH_CLIENTS.c.prefix.label("client_prefix"))
        .join(OAUTH_CLIENTS, OAUTH_CLIENTS.c.id == OAUTH_TOKENS.c.client_id)
        .where(OAUTH_TOKENS.c.prefix == secret.prefix)
    )
    row = (await connection.execute(statement)).mappings().one_or_none()
    if row is None or not compare_digest(row["secret_hash"], secret.digest):
        return None
    if row["expires_at"] <= now:
        return None
    return OauthTokenRecord(
        id=row["id"],
        client_prefix=row["client_prefix"],
        scopes=tuple(row["scopes"]),
        tags=tuple(row["tags"]),
        expires_at=row["expires_at"],
    )


def _client_of_row(row: Mapping[str, Any]) -> OauthClientRecord:
    return OauthClientRecord(
        id=row["id"],
        prefix=row["prefix"],
        secret_hash=bytes(row["secret_hash"]),
        scopes=tuple(row["scopes"]),
        tags=tuple(row["tags"]),
        description=row["description"],
        created_at=row["created_at"],
    )
