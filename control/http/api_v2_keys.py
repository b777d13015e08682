"""API v2: auth keys and OAuth clients, which are one kind of thing there."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from control.errors import InvalidRequestError, NotFoundError
from control.http import api_v2_shapes as shapes
from control.http.api_table import Call, Endpoint
from control.operations import oauth, secrets_issued
from control.store import secrets_at_rest

if TYPE_CHECKING:
    from control.app import ControlServer
    from control.http.credentials import Caller
    from control.store.records import AuthKeyRecord, OauthClientRecord

__all__ = ["KeyEndpoints"]

_NEEDS = "the token lacks the scope {}"


class KeyEndpoints:
    """Endpoints under `/api/v2/tailnet/-/keys`.

    Each kind has a scope of its own, so the endpoints ask for what both kinds need at least, and
    look again when they know the kind.
    """

    def __init__(self, server: ControlServer) -> None:
        self._ledger = server.ledger

    def table(self) -> tuple[Endpoint, ...]:
        """Return the endpoints."""
        keys = "/api/v2/tailnet/{tailnet}/keys"
        read = "auth_keys:read"
        return (
            Endpoint(
                "POST", keys, "Make a key", self._add, shapes.CreateKeyBody, scope="auth_keys"
            ),
            Endpoint("GET", keys, "List keys", self._list, None, ("all",), read),
            Endpoint("GET", f"{keys}/{{keyId}}", "Show a key", self._show, scope=read),
            Endpoint(
                "DELETE", f"{keys}/{{keyId}}", "Delete a key", self._delete, scope="auth_keys"
            ),
        )

    async def _add(self, call: Call) -> Any:
        body: shapes.CreateKeyBody = call.body
        if body.key_type == "client":
            _require(call.caller, "oauth_keys")
            made = await oauth.issue_client(
                self._ledger,
                call.actor,
                scopes=_no_wider(call.caller, body.scopes),
                tags=_allowed_tags(call.caller, body.tags),
                description=body.description,
            )
            return shapes.oauth_key_json(made.record, text=made.text)
        create = body.capabilities.devices.create
        if not create.tags:
            raise InvalidRequestError(
                "tags are needed: an API key is no user, so nodes need another owner. For a "
                "user's key: `postern control preauthkeys create --user USER`"
            )
        issued = await secrets_issued.issue_auth_key(
            self._ledger,
            call.actor,
            user_id=None,
            is_reusable=create.reusable,
            is_ephemeral=create.ephemeral,
            is_preauthorized=create.preauthorized,
            tags=_allowed_tags(call.caller, create.tags),
            expires_at=self._ledger.now() + timedelta(seconds=body.expiry_seconds),
        )
        shown = shapes.key_json(issued.record, text=issued.text)
        return {**shown, "description": body.description}

    async def _list(self, call: Call) -> Any:
        auth_keys, clients = await self._all()
        shown = [shapes.key_json(key) for key in auth_keys]
        if call.caller is not None and call.caller.may("oauth_keys:read"):
            shown.extend(shapes.oauth_key_json(client) for client in clients)
        return {"keys": shown}

    async def _show(self, call: Call) -> Any:
        found = await self._find(call, "read")
        if isinstance(found, _Client):
            return shapes.oauth_key_json(found.record)
        return shapes.key_json(found)

    async def _delete(self, call: Call) -> Any:
        found = await self._find(call, "")
        if isinstance(found, _Client):
            await oauth.delete_client(self._ledger, call.actor, found.record.id)
        else:
            await secrets_issued.delete_auth_key(self._ledger, call.actor, found.id)
        return {}

    async def _all(self) -> tuple[list[AuthKeyRecord], list[OauthClientRecord]]:
        async with self._ledger.database.reading() as connection:
            return await secrets_at_rest.auth_keys(connection), await oauth.list_clients(
                self._ledger
            )

    async def _find(self, call: Call, verb: str) -> AuthKeyRecord | _Client:
        key_id = call.text("keyId")
        auth_keys, clients = await self._all()
        for key in auth_keys:
            if key.prefix == key_id:
                return key
        for client in clients:
            if client.prefix == key_id:
                _require(call.caller, f"oauth_keys:{verb}" if verb else "oauth_keys")
                return _Client(client)
        raise NotFoundError(f"there is no key {key_id!r}")


class _Client:
    """Tells an OAuth client from an auth key."""

    def __init__(self, record: OauthClientRecord) -> None:
        self.record = record


def _require(caller: Caller | None, scope: str) -> None:
    if caller is None or not caller.may(scope):
        raise InvalidRequestError(_NEEDS.format(scope))


def _no_wider(caller: Caller | None, scopes: list[str]) -> tuple[str, ...]:
    """Return the scopes; nobody gives away more than they have."""
    for scope in scopes:
        _require(caller, scope)
    return tuple(scopes)


def _allowed_tags(caller: Caller | None, tags: list[str]) -> tuple[str, ...]:
    held = None if caller is None else caller.tags
    if held is not None and not set(tags) <= set(held):
        raise InvalidRequestError(f"the token's tags are {', '.join(held)}; others need another")
    return tuple(tags)
