"""Auth keys and API keys: shown once, hashed, claimed atomically."""

from __future__ import annotations

import asyncio
import os
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from control.errors import NotFoundError
from control.store import secrets_at_rest as secrets
from control.store.schema import AUTH_KEYS
from control.store.secrets_at_rest import AuthKeyFault, Secret, SecretKind
from tests.support.records import NOW

if TYPE_CHECKING:
    from control.store.database import Database
    from control.store.records import AuthKeyRecord

HOUR = timedelta(hours=1)


async def add(database: Database, **changes: Any) -> tuple[str, AuthKeyRecord]:
    secret = Secret.generate(SecretKind.AUTH, os.urandom)
    values: dict[str, Any] = {
        "user_id": None,
        "is_reusable": False,
        "is_ephemeral": False,
        "tags": ("tag:x",),
        "expires_at": NOW + HOUR,
        "now": NOW,
    }
    async with database.writing() as transaction:
        key = await secrets.add_auth_key(transaction, secret, **{**values, **changes})
    return secret.to_secret_text(), key


async def find(database: Database, text: str, now: Any = NOW) -> AuthKeyRecord | AuthKeyFault:
    async with database.reading() as connection:
        return await secrets.find_auth_key(connection, text, now)


def test_text_has_the_published_form() -> None:
    secret = Secret.generate(SecretKind.AUTH, lambda length: b"\xab" * length)
    assert secret.to_secret_text() == "hskey-auth-" + "ab" * 6 + "-" + "ab" * 32
    assert Secret.from_text(secret.to_secret_text()) == secret


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hskey-auth-0123456789ab-00",
        "hskey-oauth-0123456789ab-" + "0" * 64,
        "hskey-auth-0123456789AB-" + "0" * 64,
        "hskey-auth-0123456789ab-" + "0" * 64 + "\n",
    ],
)
def test_other_text_is_no_secret(text: str) -> None:
    assert Secret.from_text(text) is None


def test_secret_is_not_shown() -> None:
    secret = Secret.generate(SecretKind.API, lambda length: b"\xab" * length)
    assert "ab" * 8 not in repr(secret)


async def test_only_a_hash_is_kept(database: Database) -> None:
    text, _ = await add(database)
    async with database.reading() as connection:
        row = (await connection.execute(sa.select(AUTH_KEYS))).one()
    assert text.rpartition("-")[2] not in repr(row)


async def test_key_opens_with_its_text(database: Database) -> None:
    text, key = await add(database)
    assert await find(database, text) == key


async def test_reasons_to_refuse_in_order(database: Database) -> None:
    text, key = await add(database)
    flipped = text[:-1] + ("0" if text[-1] != "0" else "1")
    assert await find(database, flipped) is AuthKeyFault.UNKNOWN
    assert await find(database, "tskey-auth-x") is AuthKeyFault.UNKNOWN
    assert await find(database, text, NOW + HOUR) is AuthKeyFault.EXPIRED
    async with database.writing() as transaction:
        assert await secrets.claim_auth_key(transaction, key, NOW)
    assert await find(database, text) is AuthKeyFault.USED
    async with database.writing() as transaction:
        await secrets.revoke_auth_key(transaction, key.id, NOW)
    assert await find(database, text) is AuthKeyFault.REVOKED


async def test_of_fifty_claims_on_a_single_use_key_one_succeeds(database: Database) -> None:
    _, key = await add(database)

    async def claim() -> bool:
        async with database.writing() as transaction:
            return await secrets.claim_auth_key(transaction, key, NOW)

    assert sum(await asyncio.gather(*(claim() for _ in range(50)))) == 1


async def test_reusable_key_is_claimed_again_and_again(database: Database) -> None:
    text, key = await add(database, is_reusable=True)
    async with database.writing() as transaction:
        claims = [await secrets.claim_auth_key(transaction, key, NOW) for _ in range(3)]
    assert claims == [True] * 3
    assert not isinstance(await find(database, text), AuthKeyFault)


async def test_claim_fails_once_revoked_or_expired(database: Database) -> None:
    _, key = await add(database, is_reusable=True)
    async with database.writing() as transaction:
        assert not await secrets.claim_auth_key(transaction, key, NOW + HOUR)
        await secrets.revoke_auth_key(transaction, key.id, NOW)
        assert not await secrets.claim_auth_key(transaction, key, NOW)


async def test_deleted_key_is_unknown(database: Database) -> None:
    text, key = await add(database)
    async with database.writing() as transaction:
        await secrets.delete_auth_key(transaction, key.id)
        with pytest.raises(NotFoundError):
            await secrets.delete_auth_key(transaction, key.id)
    assert await find(database, text) is AuthKeyFault.UNKNOWN


async def test_api_key_opens_until_it_expires(database: Database) -> None:
    secret = Secret.generate(SecretKind.API, os.urandom)
    text = secret.to_secret_text()
    async with database.writing() as transaction:
        key = await secrets.add_api_key(transaction, secret, expires_at=NOW + HOUR, now=NOW)
        assert await secrets.find_api_key(transaction, text, NOW) == key
        assert await secrets.find_api_key(transaction, text, NOW + HOUR) is None
        assert await secrets.find_api_key(transaction, text.replace("api", "auth"), NOW) is None
        await secrets.expire_api_key(transaction, key.prefix, NOW)
        assert await secrets.find_api_key(transaction, text, NOW) is None
        await secrets.delete_api_key(transaction, key.prefix)
        assert await secrets.api_keys(transaction) == []
