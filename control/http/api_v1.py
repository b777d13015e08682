"""REST API v1: what the command line uses, in the shape that Headscale's tools know.

On the Unix socket every request is an administrator's; elsewhere a Bearer API key is needed.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cached_property
from ipaddress import ip_network
from typing import TYPE_CHECKING, Any, Final

import yaml
from aiohttp import web

from control.errors import ControlError, InvalidRequestError
from control.http import api_shapes as shapes
from control.http.api_table import Call, Endpoint, openapi_document
from control.http.api_v1_logins import LoginEndpoints
from control.http.api_v1_oauth import OauthEndpoints
from control.http.api_v1_policy import PolicyEndpoints
from control.http.credentials import actor_of_api_key
from control.http.pages import docs_page
from control.http.refusals import problem, status_of
from control.operations import addresses, nodes, secrets_issued, users, wireguard
from control.policies.in_force import PolicyRefusedError
from control.store import queries, secrets_at_rest

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from control.app import ControlServer
    from control.wire import Prefix

__all__ = ["LOCAL_ACTOR", "ApiV1"]

LOCAL_ACTOR: Final = "local"


class ApiV1:
    """Every endpoint under `/api/v1`."""

    def __init__(self, server: ControlServer) -> None:
        self._server = server
        self._ledger = server.ledger
        sections = (PolicyEndpoints(server), LoginEndpoints(server), OauthEndpoints(server))
        self.endpoints = (
            *self._table(),
            *(endpoint for section in sections for endpoint in section.table()),
        )

    def add_routes(self, app: web.Application, *, is_local: bool) -> None:
        """Put every endpoint in place; a local application asks for no key."""
        for endpoint in self.endpoints:
            app.router.add_route(
                endpoint.method, endpoint.path, self._handler(endpoint, is_local=is_local)
            )
        app.router.add_get("/api/v1/openapi.json", self._openapi)
        app.router.add_get("/api/v1/openapi.yaml", self._openapi_yaml)
        app.router.add_get("/api/v1/docs", self._docs)

    @cached_property
    def document(self) -> dict[str, Any]:
        """The OpenAPI document."""
        return openapi_document(self.endpoints, title="Postern control, API v1", version="1")

    async def _openapi(self, _request: web.Request) -> web.Response:
        return web.json_response(self.document)

    async def _openapi_yaml(self, _request: web.Request) -> web.Response:
        text = yaml.safe_dump(self.document, sort_keys=False, allow_unicode=True)
        return web.Response(text=text, content_type="application/yaml")

    async def _docs(self, _request: web.Request) -> web.Response:
        return docs_page(self.document)

    def _handler(
        self, endpoint: Endpoint, *, is_local: bool
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handle(request: web.Request) -> web.StreamResponse:
            actor = LOCAL_ACTOR if is_local else await actor_of_api_key(self._server, request)
            if actor is None:
                answer = problem(401, "an API key is needed: Authorization: Bearer hskey-api-...")
                answer.headers["WWW-Authenticate"] = 'Bearer realm="postern control"'
                return answer
            try:
                call = Call(request, actor, await endpoint.read_body(request))
                shown = await endpoint.handle(call)
            except PolicyRefusedError as error:
                return problem(400, str(error), problems=list(error.problems))
            except ControlError as error:
                return problem(status_of(error), str(error))
            return shown if isinstance(shown, web.StreamResponse) else web.json_response(shown)

        return handle

    def _table(self) -> tuple[Endpoint, ...]:
        v1 = "/api/v1"
        return (
            Endpoint("GET", f"{v1}/health", "Whether the database answers", self._health),
            Endpoint("POST", f"{v1}/user", "Make a user", self._add_user, shapes.CreateUserBody),
            Endpoint(
                "GET", f"{v1}/user", "List users", self._list_users, None, ("id", "name", "email")
            ),
            Endpoint(
                "POST", f"{v1}/user/{{oldId}}/rename/{{newName}}", "Rename", self._rename_user
            ),
            Endpoint(
                "POST", f"{v1}/user/{{id}}/role", "Change the role", self._role, shapes.RoleBody
            ),
            Endpoint("DELETE", f"{v1}/user/{{id}}", "Delete a user", self._delete_user),
            Endpoint("GET", f"{v1}/node", "List nodes", self._list_nodes, None, ("user",)),
            Endpoint("GET", f"{v1}/node/{{id}}", "Show a node", self._show_node),
            Endpoint("DELETE", f"{v1}/node/{{id}}", "Delete a node", self._delete_node),
            Endpoint(
                "POST",
                f"{v1}/node/{{id}}/expire",
                "End or prolong a node key's life",
                self._expire_node,
                shapes.ExpireNodeBody,
            ),
            Endpoint("POST", f"{v1}/node/{{id}}/rename/{{newName}}", "Rename", self._rename_node),
            Endpoint("POST", f"{v1}/node/{{id}}/tags", "Set tags", self._tag, shapes.TagsBody),
            Endpoint(
                "POST",
                f"{v1}/node/{{id}}/approve_routes",
                "Approve exactly these routes",
                self._approve_routes,
                shapes.RoutesBody,
            ),
            Endpoint("POST", f"{v1}/node/{{id}}/authorize", "Let a node in", self._authorize),
            Endpoint(
                "POST",
                f"{v1}/wireguard",
                "Enter a plain WireGuard device",
                self._add_wireguard,
                shapes.WireGuardBody,
            ),
            Endpoint(
                "GET",
                f"{v1}/wireguard/{{id}}",
                "Show what a plain WireGuard device has to be told",
                self._show_wireguard,
            ),
            Endpoint(
                "POST",
                f"{v1}/node/backfillips",
                "Give nodes the addresses that they lack",
                self._backfill,
                None,
                ("confirmed",),
            ),
            Endpoint(
                "POST",
                f"{v1}/preauthkey",
                "Make an auth key",
                self._add_auth_key,
                shapes.PreAuthKeyBody,
            ),
            Endpoint("GET", f"{v1}/preauthkey", "List auth keys", self._list_auth_keys),
            Endpoint(
                "POST",
                f"{v1}/preauthkey/expire",
                "Make an auth key useless",
                self._expire_auth_key,
                shapes.KeyIdBody,
            ),
            Endpoint(
                "DELETE",
                f"{v1}/preauthkey",
                "Delete an auth key",
                self._delete_auth_key,
                None,
                ("id",),
            ),
            Endpoint(
                "POST", f"{v1}/apikey", "Make an API key", self._add_api_key, shapes.ApiKeyBody
            ),
            Endpoint("GET", f"{v1}/apikey", "List API keys", self._list_api_keys),
            Endpoint(
                "POST",
                f"{v1}/apikey/expire",
                "Make an API key useless",
                self._expire_api_key,
                shapes.ApiKeyRef,
            ),
            Endpoint(
                "DELETE", f"{v1}/apikey/{{prefix}}", "Delete an API key", self._delete_api_key
            ),
            Endpoint("GET", f"{v1}/audit", "Show who did what", self._audit),
        )

    async def _health(self, _call: Call) -> Any:
        async with self._server.database.reading() as connection:
            await queries.policy_versions(connection, most=1)
        return {"databaseConnectivity": True}

    async def _add_user(self, call: Call) -> Any:
        body: shapes.CreateUserBody = call.body
        user = await users.add_user(self._ledger, call.actor, **body.model_dump())
        return {"user": shapes.user_json(user)}

    async def _list_users(self, call: Call) -> Any:
        found = users.find_users(
            self._ledger,
            user_id=call.optional_number("id"),
            name=call.text("name"),
            email=call.text("email"),
        )
        return {"users": [shapes.user_json(user) for user in found]}

    async def _rename_user(self, call: Call) -> Any:
        user = await users.rename_user(
            self._ledger, call.actor, call.number("oldId"), call.text("newName")
        )
        return {"user": shapes.user_json(user)}

    async def _role(self, call: Call) -> Any:
        user = await users.set_role(self._ledger, call.actor, call.number("id"), call.body.role)
        return {"user": shapes.user_json(user)}

    async def _delete_user(self, call: Call) -> Any:
        await users.delete_user(self._ledger, call.actor, call.number("id"))
        return {}

    async def _list_nodes(self, call: Call) -> Any:
        wanted = call.text("user")
        found = [
            node
            for node in self._ledger.tailnet.nodes
            if not wanted or self._is_owner(node.user_id, wanted)
        ]
        return {"nodes": [shapes.node_json(node, self._ledger.tailnet) for node in found]}

    def _is_owner(self, user_id: int | None, wanted: str) -> bool:
        user = None if user_id is None else self._ledger.tailnet.user(user_id)
        return user is not None and wanted in {str(user.id), user.name, user.email}

    def _node_answer(self, node: Any) -> Any:
        return {"node": shapes.node_json(node, self._ledger.tailnet)}

    async def _show_node(self, call: Call) -> Any:
        return self._node_answer(nodes.the_node(self._ledger, call.number("id")))

    async def _delete_node(self, call: Call) -> Any:
        await nodes.delete_node(self._ledger, self._server.registrar, call.actor, call.number("id"))
        return {}

    async def _expire_node(self, call: Call) -> Any:
        body: shapes.ExpireNodeBody = call.body
        ends = None if body.disable_expiry else _utc(body.expiry) or self._ledger.now()
        return self._node_answer(
            await nodes.expire_node(self._ledger, call.actor, call.number("id"), ends)
        )

    async def _rename_node(self, call: Call) -> Any:
        domain = self._server.config.dns.base_domain
        node_id, name = call.number("id"), call.text("newName")
        return self._node_answer(
            await nodes.rename_node(self._ledger, call.actor, node_id, name, domain=domain)
        )

    async def _tag(self, call: Call) -> Any:
        tags = tuple(call.body.tags)
        return self._node_answer(
            await nodes.tag_node(
                self._ledger, self._server.keeper, call.actor, call.number("id"), tags
            )
        )

    async def _approve_routes(self, call: Call) -> Any:
        routes = tuple(map(_prefix, call.body.routes))
        return self._node_answer(
            await nodes.approve_routes(self._ledger, call.actor, call.number("id"), routes)
        )

    async def _authorize(self, call: Call) -> Any:
        return self._node_answer(
            await nodes.approve_node(self._ledger, call.actor, call.number("id"))
        )

    async def _add_wireguard(self, call: Call) -> Any:
        body: shapes.WireGuardBody = call.body
        node = await wireguard.enter_device(
            self._ledger.tailnet,
            self._server.registrar,
            self._server.keeper,
            name=body.name,
            user=users.user_called(self._ledger, body.user) if body.user else None,
            tags=tuple(body.tags),
            public_key=body.public_key,
            endpoint=body.endpoint,
            domain=self._server.config.dns.base_domain,
        )
        return self._node_answer(node)

    async def _show_wireguard(self, call: Call) -> Any:
        node = nodes.the_node(self._ledger, call.number("id"))
        await self._server.atlas.refresh()
        tailnet, network = self._ledger.tailnet, self._server.atlas.network
        peers = wireguard.peers_of_device(node, tailnet, network)
        return {**self._node_answer(node), "peers": [peer.to_json() for peer in peers]}

    async def _backfill(self, call: Call) -> Any:
        if call.text("confirmed") != "true":
            raise InvalidRequestError("confirmed=true is needed: nodes get and lose addresses")
        return {"changes": await addresses.backfill(self._ledger, self._server.pools, call.actor)}

    async def _add_auth_key(self, call: Call) -> Any:
        body: shapes.PreAuthKeyBody = call.body
        issued = await secrets_issued.issue_auth_key(
            self._ledger,
            call.actor,
            user_id=body.user,
            is_reusable=body.reusable,
            is_ephemeral=body.ephemeral,
            is_preauthorized=body.preauthorized,
            tags=tuple(body.acl_tags),
            expires_at=_utc(body.expiration),
        )
        shown = shapes.auth_key_json(issued.record, self._ledger.tailnet, text=issued.text)
        return {"preAuthKey": shown}

    async def _list_auth_keys(self, _call: Call) -> Any:
        async with self._server.database.reading() as connection:
            keys = await secrets_at_rest.auth_keys(connection)
        return {"preAuthKeys": [shapes.auth_key_json(key, self._ledger.tailnet) for key in keys]}

    async def _expire_auth_key(self, call: Call) -> Any:
        await secrets_issued.expire_auth_key(self._ledger, call.actor, call.body.id)
        return {}

    async def _delete_auth_key(self, call: Call) -> Any:
        await secrets_issued.delete_auth_key(self._ledger, call.actor, call.number("id"))
        return {}

    async def _add_api_key(self, call: Call) -> Any:
        issued = await secrets_issued.issue_api_key(
            self._ledger, call.actor, expires_at=_utc(call.body.expiration)
        )
        return {"apiKey": issued.text}

    async def _list_api_keys(self, _call: Call) -> Any:
        async with self._server.database.reading() as connection:
            keys = await secrets_at_rest.api_keys(connection)
        return {"apiKeys": [shapes.api_key_json(key) for key in keys]}

    async def _expire_api_key(self, call: Call) -> Any:
        prefix = await secrets_issued.api_key_prefix(
            self._ledger, prefix=call.body.prefix, key_id=call.body.id
        )
        await secrets_issued.expire_api_key(self._ledger, call.actor, prefix)
        return {}

    async def _delete_api_key(self, call: Call) -> Any:
        await secrets_issued.delete_api_key(self._ledger, call.actor, call.text("prefix"))
        return {}

    async def _audit(self, _call: Call) -> Any:
        async with self._server.database.reading() as connection:
            entries = await queries.audit_entries(connection, most=1000)
        return {
            "entries": [
                {
                    "id": str(entry.id),
                    "at": entry.at.isoformat(),
                    "actor": entry.actor,
                    "action": entry.action,
                    "target": entry.target,
                    "details": entry.details,
                }
                for entry in entries
            ]
        }


def _utc(value: datetime | None) -> datetime | None:
    if value is None:
        return None
    if value.tzinfo is None:
        raise InvalidRequestError("a time needs its zone, such as 2026-01-31T12:00:00Z")
    return value.astimezone(UTC)


def _prefix(text: str) -> Prefix:
    try:
        return ip_network(text, strict=True)
    except ValueError:
        raise InvalidRequestError(
            f"route {text!r}: a prefix with its host bits zero is needed, such as 10.0.0.0/24"
        ) from None
