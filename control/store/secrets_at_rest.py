"""Auth keys and API keys: shown once, kept as hashes, claimed in one statement.

    hskey-auth-<12 hex>-<64 hex>      hskey-api-<12 hex>-<64 hex>
    hskey-client-<12 hex>-<64 hex>    hskey-oauthtok-<12 hex>-<64 hex>

The first part finds the row, the second is 256 random bits. A slow password hash would protect
nothing there, since such a secret cannot be guessed, and would let strangers burn our CPU; one
SHA-256, compared in constant time, does.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from enum import Enum
from hmac import compare_digest
from typing import TYPE_CHECKING, Final

import sqlalchemy as sa

from control.errors import NotFoundError
from control.store.rows import api_key_of_row, auth_key_of_row
from control.store.schema import API_KEYS, AUTH_KEYS

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.ext.asyncio import AsyncConnection

    from control.keys import Entropy
    from control.store.records import ApiKeyRecord, AuthKeyRecord

__all__ = [
    "AuthKeyFault",
    "Secret",
    "SecretKind",
    "add_api_key",
    "add_auth_key",
    "api_keys",
    "auth_keys",
    "claim_auth_key",
    "delete_api_key",
    "delete_auth_key",
    "expire_api_key",
    "find_api_key",
    "find_auth_key",
    "revoke_auth_key",
]

_PREFIX_BYTES: Final = 6
_SECRET_BYTES: Final = 32


class SecretKind(Enum):
    """What a secret opens; the value stands in its text."""

    AUTH = "auth"
    API = "api"
    CLIENT = "client"
    """Of an OAuth client."""
    TOKEN = "oauthtok"  # noqa: S105  the name of a kind
    """What an OAuth client trades its secret for."""


@dataclass(frozen=True, slots=True)
class Secret:
    """The two parts of a secret."""

    kind: SecretKind
    prefix: str
    secret: str = field(repr=False)

    @classmethod
    def generate(cls, kind: SecretKind, entropy: Entropy) -> Secret:
        """Draw a new secret."""
        return cls(kind, entropy(_PREFIX_BYTES).hex(), entropy(_SECRET_BYTES).hex())

    @classmethod
    def from_text(cls, text: str) -> Secret | None:
        """Parse the text form; None for anything else."""
        match = _TEXT.fullmatch(text)
        return None if match is None else cls(SecretKind(match[1]), match[2], match[3])

    def to_secret_text(self) -> str:
        """Return the text to show once."""
        return f"hskey-{self.kind.value}-{self.prefix}-{self.secret}"

    @property
    def digest(self) -> bytes:
        """What is kept."""
        return hashlib.sha256(self.secret.encode("ascii")).digest()


_TEXT: Final = re.compile(
    r"hskey-(auth|api|client|oauthtok)-([0-9a-f]{12})-([0-9a-f]{64})", re.ASCII
)


class AuthKeyFault(Enum):
    """Why an auth key lets nobody in; the value is what the node shows."""

    UNKNOWN = "invalid authkey"
    REVOKED = "authkey revoked"
    EXPIRED = "authkey expired"
    USED = "authkey already used"


async def add_auth_key(
    connection: AsyncConnection,
    secret: Secret,
    *,
    user_id: int | None,
    is_reusable: bool,
    is_ephemeral: bool,
    is_preauthorized: bool = False,
    tags: tuple[str, ...],
    expires_at: datetime | None,
    now: datetime,
) -> AuthKeyRecord:
    """Insert an auth key."""
    row = {
        "prefix": secret.prefix,
        "secret_hash": secret.digest,
        "user_id": user_id,
        "is_reusable": is_reusable,
        "is_ephemeral": is_ephemeral,
        "is_preauthorized": is_preauthorized,
        "tags": list(tags),
        "expires_at": expires_at,
        "used_at": None,
        "revoked_at": None,
        "created_at": now,
    }
    statement = AUTH_KEYS.insert().values(**row).returning(AUTH_KEYS.c.id)
    key_id = (await connection.execute(statement)).scalar_one()
    return auth_key_of_row({"id": key_id, **row})


async def auth_keys(connection: AsyncConnection) -> list[AuthKeyRecord]:
    """Return all auth keys by number."""
    rows = (await connection.execute(sa.select(AUTH_KEYS).order_by(AUTH_KEYS.c.id))).mappings()
    return [auth_key_of_row(dict(row)) for row in rows]


async def find_auth_key(
    connection: AsyncConnection, text: str, now: datetime
) -> AuthKeyRecord | AuthKeyFault:
    """Return the key that the text opens, or why it opens nothing. Claims nothing."""
    secret = Secret.from_text(text)
    if secret is None or secret.kind is not SecretKind.AUTH:
        return AuthKeyFault.UNKNOWN
    statement = sa.select(AUTH_KEYS).where(AUTH_KEYS.c.prefix == secret.prefix)
    row = (await connection.execute(statement)).mappings().one_or_none()
    if row is None or not compare_digest(row["secret_hash"], secret.digest):
        return AuthKeyFault.UNKNOWN
    key = auth_key_of_row(dict(row))
    if key.revoked_at is not None:
        return AuthKeyFault.REVOKED
    if key.expires_at is not None and key.expires_at <= now:
        return AuthKeyFault.EXPIRED
    if key.used_at is not None and not key.is_reusable:
        return AuthKeyFault.USED
    return key


async def claim_auth_key(connection: AsyncConnection, key: AuthKeyRecord, now: datetime) -> bool:
    """Mark a key as used; False where a single-use key was claimed, revoked or ran out meanwhile.

    One statement decides, so of any number of claims on a single-use key one succeeds.
    """
    is_open = sa.and_(
        AUTH_KEYS.c.id == key.id,
        AUTH_KEYS.c.revoked_at.is_(None),
        sa.or_(AUTH_KEYS.c.expires_at.is_(None), AUTH_KEYS.c.expires_at > now),
        sa.or_(AUTH_KEYS.c.is_reusable, AUTH_KEYS.c.used_at.is_(None)),
    )
    result = await connection.execute(AUTH_KEYS.update().where(is_open).values(used_at=now))
    return result.rowcount == 1


async def revoke_auth_key(connection: AsyncConnection, key_id: int, now: datetime) -> None:
    """Make a key useless from now on; raises NotFoundError."""
    statement = AUTH_KEYS.update().where(AUTH_KEYS.c.id == key_id).values(revoked_at=now)
    if (await connection.execute(statement)).rowcount == 0:
        raise NotFoundError(f"there is no auth key {key_id}")


async def delete_auth_key(connection: AsyncConnection, key_id: int) -> None:
    """Delete a key; nodes that came in with it stay. Raises NotFoundError."""
    result = await connection.execute(AUTH_KEYS.delete().where(AUTH_KEYS.c.id == key_id))
    if result.rowcount == 0:
        raise NotFoundError(f"there is no auth key {key_id}")


async def add_api_key(
    connection: AsyncConnection, secret: Secret, *, expires_at: datetime | None, now: datetime
) -> ApiKeyRecord:
    """Insert an API key."""
    row = {
        "prefix": secret.prefix,
        "secret_hash": secret.digest,
        "expires_at": expires_at,
        "last_used_at": None,
        "created_at": now,
    }
    statement = API_KEYS.insert().values(**row).returning(API_KEYS.c.id)
    key_id = (await connection.execute(statement)).scalar_one()
    return api_key_of_row({"id": key_id, **row})


async def api_keys(connection: AsyncConnection) -> list[ApiKeyRecord]:
    """Return all API keys by number."""
    rows = (await connection.execute(sa.select(API_KEYS).order_by(API_KEYS.c.id))).mappings()
    return [api_key_of_row(dict(row)) for row in rows]


async def find_api_key(
    connection: AsyncConnection, text: str, now: datetime
) -> ApiKeyRecord | None:
    """Return the key that the text opens, if it still opens anything."""
    secret = Secret.from_text(text)
    if secret is None or secret.kind is not SecretKind.API:
        return None
    statement = sa.select(API_KEYS).where(API_KEYS.c.prefix == secret.prefix)
    row = (await connection.execute(statement)).mappings().one_or_none()
    if row is None or not compare_digest(row["secret_hash"], secret.digest):
        return None
    key = api_key_of_row(dict(row))
    return None if key.expires_at is not None and key.expires_at <= now else key


async def expire_api_key(connection: AsyncConnection, prefix: str, now: datetime) -> None:
    """Make a key useless from now on; raises NotFoundError."""
    statement = API_KEYS.update().where(API_KEYS.c.prefix == prefix).values(expires_at=now)
    if (await connection.execute(statement)).rowcount == 0:
        raise NotFoundError(f"there is no API key {prefix}")


async def delete_api_key(connection: AsyncConnection, prefix: str) -> None:
    """Delete a key; raises NotFoundError."""
    result = await connection.execute(API_KEYS.delete().where(API_KEYS.c.prefix == prefix))
    if result.rowcount == 0:
        raise NotFoundError(f"there is no API key {prefix}")
