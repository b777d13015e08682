"""API v2: the policy as policy tools push it (policy reference 2.8 and 8.4).

HuJSON or JSON, `ETag` and `If-Match`, validation of a whole policy or of tests alone, and a
preview of the rules that concern a user or a port.
"""

from __future__ import annotations

import asyncio
import base64
import json
from typing import TYPE_CHECKING, Any

from aiohttp import web

from control.errors import InvalidRequestError
from control.http.api_table import Call, Endpoint
from control.http.refusals import refusal
from control.policies.preview import preview
from policy.hujson.parse import parse
from policy.hujson.standard import standardize
from policy.source import Source

if TYPE_CHECKING:
    from control.app import ControlServer
    from control.policies.checking import Checked
    from control.policies.in_force import InForce

__all__ = ["AclEndpoints", "refused_policy"]

_HUJSON = "application/hujson"
_MEDIA = (_HUJSON, "application/json")


class AclEndpoints:
    """Endpoints under `/api/v2/tailnet/-/acl`."""

    def __init__(self, server: ControlServer) -> None:
        self._keeper = server.keeper

    def table(self) -> tuple[Endpoint, ...]:
        """Return the endpoints."""
        acl, read, write = "/api/v2/tailnet/{tailnet}/acl", "policy_file:read", "policy_file"
        return (
            Endpoint(
                "GET", acl, "Show the policy", self._get, None, ("details",), read, media=_MEDIA
            ),
            Endpoint(
                "POST", acl, "Set the policy", self._post, scope=write, media=_MEDIA, reads=_MEDIA
            ),
            Endpoint(
                "POST",
                f"{acl}/validate",
                "Check a policy, or tests against the one in force",
                self._validate,
                scope=read,
                reads=_MEDIA,
            ),
            Endpoint(
                "POST",
                f"{acl}/preview",
                "Show the rules of a policy that concern a user or a port",
                self._preview,
                None,
                ("previewFor", "type"),
                read,
                reads=_MEDIA,
            ),
        )

    async def _get(self, call: Call) -> web.Response:
        in_force = self._keeper.in_force
        if call.text("details") in {"1", "true"}:
            checked = await self._keeper.check(in_force.text)
            body = {
                "acl": base64.b64encode(_bytes(in_force.text)).decode("ascii"),
                "warnings": list(checked.warnings),
                "errors": list(checked.problems) or None,
            }
            return web.json_response(body, headers={"ETag": in_force.etag})
        return _document(in_force, call.request)

    async def _post(self, call: Call) -> web.Response:
        in_force = await self._keeper.set(
            await _text(call.request), call.actor, if_match=call.request.headers.get("If-Match")
        )
        return _document(in_force, call.request)

    async def _validate(self, call: Call) -> web.Response:
        text = await _text(call.request)
        tests = _tests_of(text)
        checked = await (
            self._keeper.check(text) if tests is None else self._keeper.check_tests(tests)
        )
        # The service answers 200 whatever it found.
        return web.json_response({}) if checked.policy else refused_policy(checked, 200)

    async def _preview(self, call: Call) -> Any:
        kind, wanted = call.text("type"), call.text("previewFor")
        if kind not in {"user", "ipport"}:
            raise InvalidRequestError("type: user or ipport")
        text = await _text(call.request) or self._keeper.in_force.text
        loaded, directory = self._keeper.load(text), self._keeper.directory()
        matches = await asyncio.to_thread(preview, loaded, directory, kind, wanted)
        return {"matches": matches, "type": kind, "previewFor": wanted}


def refused_policy(checked: Checked, status: int) -> web.Response:
    """Return what is wrong with a policy in the service's shape, one element for each test."""
    data = [
        {"user": test.source, "errors": [f"[acl test error]: {error}" for error in test.errors]}
        for test in checked.failed
    ]
    answer = refusal(status, checked.message, data or [{"errors": list(checked.problems)}])
    if status == 200:
        body = json.loads(answer.body)  # type: ignore[arg-type]  # it was made of a text
        del body["status"]
        return web.json_response(body)
    return answer


def _tests_of(text: str) -> str | None:
    """Return the array of tests that a text is; None where it is something else."""
    root, problems = parse(Source("tests", text))[1:]
    if root is None or problems or not standardize(root).lstrip().startswith("["):
        return None
    return standardize(root)


def _document(in_force: InForce, request: web.Request) -> web.Response:
    text, content_type = in_force.text, _HUJSON
    accept = request.headers.get("Accept", "")
    if "application/json" in accept and _HUJSON not in accept:
        root, problems = parse(Source("policy", text))[1:]
        if root is not None and not problems:
            text, content_type = standardize(root), "application/json"
    return web.Response(
        body=_bytes(text), content_type=content_type, headers={"ETag": in_force.etag}
    )


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


async def _text(request: web.Request) -> str:
    return (await request.read()).decode("utf-8", "surrogateescape")
