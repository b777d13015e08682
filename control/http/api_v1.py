"""REST API v1: what the command line uses, in the shape that Headscale's tools know.

On the Unix socket every request is an administrator's; elsewhere a Bearer API key is needed.
"""

from __future__ import annotations

from datetime import UTC, datetime
from ipaddress import ip_network
from typing import TYPE_CHECKING, Any, Final

import structlog
from aiohttp import web

from control.errors import ControlError, InvalidRequestError, NotFoundError
from control.http import api_shapes as shapes
from control.http.api_table import Call, Endpoint, openapi_document, problem, status_of
from control.identity.enrolment import Admission
from control.identity.logins import Login, Outcome
from control.operations import nodes, secrets_issued, users, wireguard
from control.policies.in_force import PolicyRefusedError
from control.store import queries, secrets_at_rest
from control.store.records import RegisterMethod

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from control.app import ControlServer
    from control.store.records import UserRecord
    from control.wire import Prefix

__all__ = ["LOCAL_ACTOR", "ApiV1", "authenticated_actor"]

LOCAL_ACTOR: Final = "local"
_log = structlog.get_logger("control.api")


async def authenticated_actor(server: ControlServer, request: web.Request) -> str | None:
    """Return who asks with an API key, or None for nobody whom we know."""
    scheme, _, text = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        return None
    async with server.database.reading() as connection:
        key = await secrets_at_rest.find_api_key(connection, text.strip(), server.ledger.now())
    return None if key is None else f"api-key:{key.prefix}"


class ApiV1:
    """Every endpoint under `/api/v1`."""

    def __init__(self, server: ControlServer) -> None:
        self._server = server
        self._ledger = server.ledger
        self.endpoints = self._table()

    def add_routes(self, app: web.Application, *, is_local: bool) -> None:
        """Put every endpoint in place; a local application asks for no key."""
        for endpoint in self.endpoints:
            app.router.add_route(
                endpoint.method, endpoint.path, self._handler(endpoint, is_local=is_local)
            )
        app.router.add_get("/api/v1/openapi.json", self._openapi)

    async def _openapi(self, _request: web.Request) -> web.Response:
        document = openapi_document(self.endpoints, title="Postern control", version="1")
        return web.json_response(document)

    def _handler(
        self, endpoint: Endpoint, *, is_local: bool
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handle(request: web.Request) -> web.StreamResponse:
            actor = LOCAL_ACTOR if is_local else await authenticated_actor(self._server, request)
            if actor is None:
                return problem(401, "an API key is needed: Authorization: Bearer hskey-api-...")
            try:
                call = Call(request, actor, await endpoint.read_body(request))
                answer = await endpoint.handle(call)
            except PolicyRefusedError as error:
                return problem(400, str(error), problems=list(error.problems))
            except ControlError as error:
                return problem(status_of(error), str(error))
            return answer if isinstance(answer, web.StreamResponse) else web.json_response(answer)

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
            Endpoint("GET", f"{v1}/policy", "Show the policy in force", self._get_policy),
            Endpoint(
                "PUT", f"{v1}/policy", "Put a policy in force", self._put_policy, shapes.PolicyBody
            ),
            Endpoint(
                "POST",
                f"{v1}/policy/check",
                "Check a policy, tests included",
                self._check_policy,
                shapes.PolicyBody,
            ),
            Endpoint("GET", f"{v1}/policy/history", "List versions", self._policy_history),
            Endpoint("GET", f"{v1}/policy/version/{{id}}", "Show a version", self._policy_version),
            Endpoint(
                "POST",
                f"{v1}/policy/rollback",
                "Put an earlier version in force again",
                self._roll_back,
                shapes.RollbackBody,
            ),
            Endpoint(
                "POST",
                f"{v1}/auth/register",
                "Let a waiting node in for a user",
                self._auth_register,
                shapes.AuthRegisterBody,
            ),
            Endpoint(
                "POST",
                f"{v1}/auth/reject",
                "Turn a waiting node away",
                self._auth_reject,
                shapes.AuthBody,
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
            user=self._the_one_user(body.user) if body.user else None,
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

    async def _add_auth_key(self, call: Call) -> Any:
        body: shapes.PreAuthKeyBody = call.body
        issued = await secrets_issued.issue_auth_key(
            self._ledger,
            call.actor,
            user_id=body.user,
            is_reusable=body.reusable,
            is_ephemeral=body.ephemeral,
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

    async def _get_policy(self, _call: Call) -> Any:
        in_force = self._server.keeper.in_force
        body = {
            "policy": in_force.text,
            "version": in_force.version,
            "warning": in_force.warning,
            "failingTests": list(self._server.keeper.failing_tests),
        }
        return web.json_response(body, headers={"ETag": in_force.etag})

    async def _put_policy(self, call: Call) -> Any:
        in_force = await self._server.keeper.set(
            call.body.policy, call.actor, if_match=call.request.headers.get("If-Match")
        )
        body = {"policy": in_force.text, "version": in_force.version}
        return web.json_response(body, headers={"ETag": in_force.etag})

    async def _check_policy(self, call: Call) -> Any:
        checked = await self._server.keeper.check(call.body.policy)
        if checked.policy is None:
            raise PolicyRefusedError(checked.problems)
        return {"warnings": list(checked.warnings)}

    async def _policy_history(self, _call: Call) -> Any:
        history = await self._server.keeper.history()
        return {"versions": [shapes.policy_version_json(version) for version in history]}

    async def _policy_version(self, call: Call) -> Any:
        version = await self._server.keeper.version(call.number("id"))
        return {**shapes.policy_version_json(version), "policy": version.text}

    async def _roll_back(self, call: Call) -> Any:
        in_force = await self._server.keeper.roll_back(call.body.version, call.actor)
        return {"policy": in_force.text, "version": in_force.version}

    async def _auth_register(self, call: Call) -> Any:
        body: shapes.AuthRegisterBody = call.body
        user = self._the_one_user(body.user)
        admission = Admission(user=user, method=RegisterMethod.CLI)
        login = self._login(body.auth_id)
        return self._node_answer(await self._server.registrar.admit(login, admission))

    def _the_one_user(self, text: str) -> UserRecord:
        found = [
            user
            for user in self._ledger.tailnet.users
            if text in {str(user.id), user.name, user.email}
        ]
        if len(found) != 1:
            raise NotFoundError(f"there is no one user {text!r}; name one by its number")
        return found[0]

    async def _auth_reject(self, call: Call) -> Any:
        self._login(call.body.auth_id).decide(Outcome(error="an administrator said no"))
        return {}

    def _login(self, auth_id: str) -> Login:
        login = self._server.logins.find(auth_id)
        if login is None:
            raise NotFoundError("no login with this ID waits; it may have run out: log in again")
        return login

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
