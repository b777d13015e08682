"""REST API v2: the part of the service's own API that GitOps tools use for policies.

HuJSON in and out, `ETag` and `If-Match`, errors as `{"message": ..., "data": ...}` (policy
reference 2.8). The tailnet is `-`.
"""

from __future__ import annotations

import base64
import binascii
import json
from typing import TYPE_CHECKING, Any

from aiohttp import web

from control.errors import ControlError, StaleError
from control.http.api_v1 import authenticated_actor
from control.policies.in_force import PolicyRefusedError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from control.app import ControlServer

__all__ = ["ApiV2"]

_HUJSON = "application/hujson"


class ApiV2:
    """`/api/v2/tailnet/-/acl` and its validation."""

    def __init__(self, server: ControlServer) -> None:
        self._server = server

    def add_routes(self, app: web.Application) -> None:
        """Put every endpoint in place."""
        acl = "/api/v2/tailnet/-/acl"
        app.router.add_get(acl, self._guarded(self._get))
        app.router.add_post(acl, self._guarded(self._post))
        app.router.add_post(f"{acl}/validate", self._guarded(self._validate))

    def _guarded(
        self, handle: Callable[[web.Request, str], Awaitable[web.Response]]
    ) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def guarded(request: web.Request) -> web.Response:
            actor = await self._actor(request)
            if actor is None:
                return _refusal(401, "API token invalid")
            try:
                return await handle(request, actor)
            except PolicyRefusedError as error:
                return _refusal(400, error.problems[0], list(error.problems))
            except StaleError as error:
                return _refusal(412, str(error))
            except ControlError as error:
                return _refusal(400, str(error))

        return guarded

    async def _actor(self, request: web.Request) -> str | None:
        """Return who asks: a Bearer key, or the key as the user name of Basic."""
        scheme, _, text = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "basic":
            return await authenticated_actor(self._server, request)
        try:
            name = base64.b64decode(text, validate=True).decode("ascii").partition(":")[0]
        except (binascii.Error, ValueError):
            return None
        bearer = request.clone(headers={"Authorization": f"Bearer {name}"})
        return await authenticated_actor(self._server, bearer)

    async def _get(self, _request: web.Request, _actor: str) -> web.Response:
        in_force = self._server.keeper.in_force
        return _document(in_force.text, in_force.etag)

    async def _post(self, request: web.Request, actor: str) -> web.Response:
        in_force = await self._server.keeper.set(
            await _text(request), actor, if_match=request.headers.get("If-Match")
        )
        return _document(in_force.text, in_force.etag)

    async def _validate(self, request: web.Request, _actor: str) -> web.Response:
        checked = await self._server.keeper.check(await _text(request))
        if checked.policy is None:
            raise PolicyRefusedError(checked.problems)
        return web.json_response({})


def _document(text: str, etag: str) -> web.Response:
    body = text.encode("utf-8", "surrogateescape")
    return web.Response(body=body, content_type=_HUJSON, headers={"ETag": etag})


async def _text(request: web.Request) -> str:
    return (await request.read()).decode("utf-8", "surrogateescape")


def _refusal(status: int, message: str, problems: list[str] | None = None) -> web.Response:
    body: dict[str, Any] = {"message": message, "status": status}
    if problems:
        body["data"] = [{"errors": problems}]
    return web.Response(status=status, text=json.dumps(body), content_type="application/json")
