"""Auth keys and API keys as operators handle them; each text is given out once."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import TYPE_CHECKING, Final, NamedTuple

from control.errors import InvalidRequestError, NotFoundError
from control.operations.users import the_user
from control.store import secrets_at_rest
from control.store.secrets_at_rest import Secret, SecretKind

if TYPE_CHECKING:
    from datetime import datetime

    from control.registry.ledger import Ledger
    from control.store.records import ApiKeyRecord, AuthKeyRecord

__all__ = [
    "IssuedApiKey",
    "IssuedAuthKey",
    "api_key_prefix",
    "delete_api_key",
    "delete_auth_key",
    "expire_api_key",
    "expire_auth_key",
    "issue_api_key",
    "issue_auth_key",
]

DEFAULT_AUTH_KEY_LIFE: Final = timedelta(hours=1)
DEFAULT_API_KEY_LIFE: Final = timedelta(days=90)


class IssuedAuthKey(NamedTuple):
    """A new auth key and its text."""

    record: AuthKeyRecord
    text: str


class IssuedApiKey(NamedTuple):
    """A new API key and its text."""

    record: ApiKeyRecord
    text: str


async def issue_auth_key(
    ledger: Ledger,
    actor: str,
    *,
    user_id: int | None,
    is_reusable: bool = False,
    is_ephemeral: bool = False,
    is_preauthorized: bool = False,
    tags: tuple[str, ...] = (),
    expires_at: datetime | None = None,
) -> IssuedAuthKey:
    """Make an auth key for a user or for tagged nodes."""
    if user_id is None and not tags:
        raise InvalidRequestError("an auth key needs a user or tags")
    if user_id is not None:
        the_user(ledger, user_id)
    if any(not tag.startswith("tag:") for tag in tags):
        raise InvalidRequestError("tags are written tag:NAME")
    secret = Secret.generate(SecretKind.AUTH, os.urandom)
    async with ledger.transaction(actor) as transaction:
        record = await secrets_at_rest.add_auth_key(
            transaction.connection,
            secret,
            user_id=user_id,
            is_reusable=is_reusable,
            is_ephemeral=is_ephemeral,
            is_preauthorized=is_preauthorized,
            tags=tuple(sorted(set(tags))),
            expires_at=expires_at or transaction.now + DEFAULT_AUTH_KEY_LIFE,
            now=transaction.now,
        )
        await transaction.audit("auth-key.create", f"auth-key:{record.id}")
    return IssuedAuthKey(record, secret.to_secret_text())


async def expire_auth_key(ledger: Ledger, actor: str, key_id: int) -> None:
    """Make an auth key useless."""
    async with ledger.transaction(actor) as transaction:
        await secrets_at_rest.revoke_auth_key(transaction.connection, key_id, transaction.now)
        await transaction.audit("auth-key.expire", f"auth-key:{key_id}")


async def delete_auth_key(ledger: Ledger, actor: str, key_id: int) -> None:
    """Delete an auth key; nodes that came in with it stay."""
    async with ledger.transaction(actor) as transaction:
        await secrets_at_rest.delete_auth_key(transaction.connection, key_id)
        await transaction.audit("auth-key.delete", f"auth-key:{key_id}")


async def issue_api_key(
    ledger: Ledger, actor: str, *, expires_at: datetime | None = None
) -> IssuedApiKey:
    """Make an API key."""
    secret = Secret.generate(SecretKind.API, os.urandom)
    async with ledger.transaction(actor) as transaction:
        record = await secrets_at_rest.add_api_key(
            transaction.connection,
            secret,
            expires_at=expires_at or transaction.now + DEFAULT_API_KEY_LIFE,
            now=transaction.now,
        )
        await transaction.audit("api-key.create", f"api-key:{record.prefix}")
    return IssuedApiKey(record, secret.to_secret_text())


async def api_key_prefix(ledger: Ledger, *, prefix: str = "", key_id: int | None = None) -> str:
    """Return the prefix of the key that is meant; raises NotFoundError."""
    if prefix:
        return prefix
    async with ledger.database.reading() as connection:
        for key in await secrets_at_rest.api_keys(connection):
            if key.id == key_id:
                return key.prefix
    raise NotFoundError(f"there is no API key {key_id}")


async def expire_api_key(ledger: Ledger, actor: str, prefix: str) -> None:
    """Make an API key useless."""
    async with ledger.transaction(actor) as transaction:
        await secrets_at_rest.expire_api_key(transaction.connection, prefix, transaction.now)
        await transaction.audit("api-key.expire", f"api-key:{prefix}")


async def delete_api_key(ledger: Ledger, actor: str, prefix: str) -> None:
    """Delete an API key."""
    async with ledger.transaction(actor) as transaction:
        await secrets_at_rest.delete_api_key(transaction.connection, prefix)
        await transaction.audit("api-key.delete", f"api-key:{prefix}")
