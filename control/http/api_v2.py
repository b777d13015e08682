"""REST API v2: the part of the service's own API that policy and infrastructure tools use.

API keys open everything, tokens of OAuth clients what their scopes say. Errors are
`{"message": ..., "status": ...}`. The tailnet is `-` or has the name of its domain.
"""

from __future__ import annotations

import json
from functools import cached_property
from typing import TYPE_CHECKING, Any

from aiohttp import web

from control.errors import ControlError, NotFoundError
from control.http.api_table import Call, Endpoint, openapi_document
from control.http.api_v2_acl import AclEndpoints, refused_policy
from control.http.api_v2_devices import DeviceEndpoints
from control.http.api_v2_keys import KeyEndpoints
from control.http.api_v2_tailnet import TailnetEndpoints
from control.http.credentials import basic_credentials, caller_of
from control.http.pages import docs_page
from control.http.refusals import refusal, status_of
from control.operations.oauth import SCOPES, NoSuchClientError, issue_token
from control.policies.in_force import PolicyRefusedError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from control.app import ControlServer
    from control.http.ratelimit import RateLimit

__all__ = ["ApiV2"]

_TOKEN_PATH = "/api/v2/oauth/token"  # noqa: S105  a path
_MAX_FORM = 8192


class ApiV2:
    """Every endpoint under `/api/v2`."""

    def __init__(self, server: ControlServer, limit: RateLimit) -> None:
        self._server = server
        self._limit = limit
        sections = (
            AclEndpoints(server),
            DeviceEndpoints(server),
            KeyEndpoints(server),
            TailnetEndpoints(server),
        )
        self.endpoints = tuple(e for section in sections for e in section.table())

    def add_routes(self, app: web.Application) -> None:
        """Put every endpoint in place."""
        for endpoint in self.endpoints:
            app.router.add_route(endpoint.method, endpoint.path, self._handler(endpoint))
        app.router.add_post(_TOKEN_PATH, self._token)
        app.router.add_get("/api/v2/openapi.json", self._openapi)
        app.router.add_get("/api/v2/docs", self._docs)

    @cached_property
    def document(self) -> dict[str, Any]:
        """The OpenAPI document."""
        document = openapi_document(
            self.endpoints,
            title="Postern control, API v2",
            version="2",
            errors="application/json",
            scopes=sorted(SCOPES),
        )
        form = {"schema": {"type": "object", "properties": {"grant_type": {"type": "string"}}}}
        document["paths"][_TOKEN_PATH] = {
            "post": {
                "summary": "Trade an OAuth client's secret for a token (RFC 6749, 4.4)",
                "security": [],
                "requestBody": {"content": {"application/x-www-form-urlencoded": form}},
                "responses": {
                    "200": {"description": "A token.", "content": {"application/json": {}}},
                    "default": {"description": "Refused.", "content": {"application/json": {}}},
                },
            }
        }
        return document

    def _handler(
        self, endpoint: Endpoint
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handle(request: web.Request) -> web.StreamResponse:
            caller = await caller_of(self._server, request)
            if caller is None:
                answer = refusal(401, "API token invalid")
                answer.headers["WWW-Authenticate"] = 'Basic realm="postern control"'
                return answer
            if not caller.may(endpoint.scope):
                return refusal(403, f"the token lacks the scope {endpoint.scope}")
            try:
                self._check_tailnet(request)
                call = Call(request, caller.actor, await endpoint.read_body(request), caller)
                shown = await endpoint.handle(call)
            except PolicyRefusedError as error:
                return refused_policy(error.checked, 400)
            except ControlError as error:
                return refusal(status_of(error), str(error))
            return shown if isinstance(shown, web.StreamResponse) else web.json_response(shown)

        return handle

    def _check_tailnet(self, request: web.Request) -> None:
        name = request.match_info.get("tailnet", "-")
        if name not in {"-", self._server.config.dns.base_domain}:
            raise NotFoundError(f"there is no tailnet {name!r} here; write -")

    async def _token(self, request: web.Request) -> web.Response:
        """Answer RFC 6749, 4.4: the client's ID and secret are in the form or in Basic."""
        remote = self._server.remote_of(request)
        if self._limit.wait_s(remote) > 0:
            return _oauth_error(429, "slow_down", "too many requests; try again in a little while")
        length = request.content_length
        if length is None or length > _MAX_FORM:
            return _oauth_error(400, "invalid_request", "a form with a length is needed")
        form = await request.post()
        fields = {name: value for name, value in form.items() if isinstance(value, str)}
        if fields.get("grant_type", "client_credentials") != "client_credentials":
            return _oauth_error(400, "unsupported_grant_type", "client_credentials is needed")
        secret = fields.get("client_secret") or basic_credentials(request)[1]
        try:
            issued = await issue_token(
                self._server.ledger,
                secret,
                scopes=tuple(fields.get("scope", "").split()),
                tags=tuple(fields.get("tags", "").split()),
            )
        except NoSuchClientError as error:
            return _oauth_error(401, "invalid_client", str(error))
        except ControlError as error:
            return _oauth_error(400, "invalid_scope", str(error))
        body = {
            "access_token": issued.text,
            "token_type": "Bearer",
            "expires_in": int(issued.life.total_seconds()),
            "scope": " ".join(issued.scopes),
        }
        return web.json_response(body, headers={"Cache-Control": "no-store"})

    async def _openapi(self, _request: web.Request) -> web.Response:
        return web.json_response(self.document)

    async def _docs(self, _request: web.Request) -> web.Response:
        return docs_page(self.document)


def _oauth_error(status: int, code: str, why: str) -> web.Response:
    body = json.dumps({"error": code, "error_description": why, "message": why})
    return web.Response(status=status, text=body, content_type="application/json")
