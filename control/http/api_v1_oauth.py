"""API v1: programs that may use API v2 within scopes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from control.http import api_shapes as shapes
from control.http.api_table import Call, Endpoint
from control.operations import oauth

if TYPE_CHECKING:
    from control.app import ControlServer

__all__ = ["OauthEndpoints"]


class OauthEndpoints:
    """Endpoints under `/api/v1/oauth-client`."""

    def __init__(self, server: ControlServer) -> None:
        self._ledger = server.ledger

    def table(self) -> tuple[Endpoint, ...]:
        """Return the endpoints."""
        client = "/api/v1/oauth-client"
        return (
            Endpoint("POST", client, "Make an OAuth client", self._add, shapes.OauthClientBody),
            Endpoint("GET", client, "List OAuth clients", self._list),
            Endpoint("DELETE", f"{client}/{{id}}", "Delete an OAuth client", self._delete),
        )

    async def _add(self, call: Call) -> Any:
        body: shapes.OauthClientBody = call.body
        issued = await oauth.issue_client(
            self._ledger,
            call.actor,
            scopes=tuple(body.scopes),
            tags=tuple(body.tags),
            description=body.description,
        )
        shown = shapes.oauth_client_json(issued.record)
        return {"oauthClient": {**shown, "secret": issued.text}}

    async def _list(self, _call: Call) -> Any:
        found = await oauth.list_clients(self._ledger)
        return {"oauthClients": [shapes.oauth_client_json(client) for client in found]}

    async def _delete(self, call: Call) -> Any:
        await oauth.delete_client(self._ledger, call.actor, call.number("id"))
        return {}
