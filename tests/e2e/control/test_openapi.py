"""The documents of both APIs against the routes that there are."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
import yaml
from aiohttp import web
from jsonschema import Draft202012Validator

from control.http.api_v1 import ApiV1
from control.http.api_v2 import ApiV2
from control.http.ratelimit import RateLimit

if TYPE_CHECKING:
    from tests.support.control_server import Control

ITSELF = re.compile(r"/api/v[12]/(openapi\.(json|yaml)|docs)")


def routes(api: Any) -> set[tuple[str, str]]:
    app = web.Application()
    if isinstance(api, ApiV1):
        api.add_routes(app, is_local=False)
    else:
        api.add_routes(app)
    return {
        (route.method, route.resource.canonical)
        for route in app.router.routes()
        if route.resource is not None
        if route.method != "HEAD" and not ITSELF.fullmatch(route.resource.canonical)
    }


def described(document: dict[str, Any]) -> set[tuple[str, str]]:
    return {
        (method.upper(), path)
        for path, operations in document["paths"].items()
        for method in operations
    }


def apis(control: Control) -> tuple[ApiV1, ApiV2]:
    limit = RateLimit(burst=1, per_second=1, clock=lambda: 0.0)
    return ApiV1(control.server), ApiV2(control.server, limit)


async def test_every_route_is_described_and_every_description_has_a_route(
    control: Control,
) -> None:
    for api in apis(control):
        assert described(api.document) == routes(api)
        assert len(routes(api)) > 15


async def test_parts_in_braces_are_parameters_and_references_lead_somewhere(
    control: Control,
) -> None:
    for api in apis(control):
        for path, operations in api.document["paths"].items():
            for operation in operations.values():
                named = {p["name"] for p in operation.get("parameters", ()) if p["in"] == "path"}
                assert named == set(re.findall(r"{(\w+)}", path))
        schemas = api.document["components"]["schemas"]
        for name in re.findall(r"#/components/schemas/(\w+)", str(api.document)):
            Draft202012Validator.check_schema(schemas[name])


async def test_scopes_are_among_those_that_there_are(control: Control) -> None:
    document = apis(control)[1].document
    known = document["components"]["securitySchemes"]["oauth"]["flows"]["clientCredentials"][
        "scopes"
    ]
    for operations in document["paths"].values():
        for operation in operations.values():
            for need in operation["security"]:
                assert set(need.get("oauth", ())) <= set(known)


@pytest.mark.parametrize("version", ["v1", "v2"])
async def test_documents_are_served_to_everybody(control: Control, version: str) -> None:
    async with aiohttp.ClientSession(f"{control.url}") as session:
        async with session.get(f"/api/{version}/openapi.json") as answer:
            document = await answer.json()
        async with session.get(f"/api/{version}/docs") as answer:
            assert (answer.status, answer.content_type) == (200, "text/html")
        if version == "v1":
            async with session.get("/api/v1/openapi.yaml") as answer:
                assert yaml.safe_load(await answer.text()) == document
    assert document["openapi"] == "3.1.0"
