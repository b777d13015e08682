"""How an endpoint of the REST API is described, called and answered; its OpenAPI document."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError

from control.errors import InvalidRequestError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from aiohttp import web

    from control.http.credentials import Caller

__all__ = ["Call", "Endpoint", "openapi_document"]


@dataclass(frozen=True, slots=True)
class Call:
    """One request to an endpoint, with its parts read."""

    request: web.Request
    actor: str
    body: Any
    """Instance of the endpoint's body model, or None."""
    caller: Caller | None = None
    """Who asks and within what scopes, where scopes count."""

    def number(self, name: str) -> int:
        """Return a number from the path or, failing that, from the query."""
        text = self.request.match_info.get(name) or self.request.query.get(name, "")
        if not (text.isascii() and text.isdigit() and len(text) < 19):
            raise InvalidRequestError(f"{name}: a whole number is needed")
        return int(text)

    def optional_number(self, name: str) -> int | None:
        """Return a number from the query, or None where there is none."""
        return self.number(name) if self.request.query.get(name) else None

    def text(self, name: str) -> str:
        """Return a text from the path or the query, empty where there is none."""
        return self.request.match_info.get(name) or self.request.query.get(name, "")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A row of the API's table."""

    method: str
    path: str
    summary: str
    handle: Callable[[Call], Awaitable[Any]]
    body: type[BaseModel] | None = None
    query: tuple[str, ...] = field(default=())
    scope: str = ""
    """What a token needs; empty where only API keys open the endpoint."""
    media: tuple[str, ...] = ("application/json",)
    """What it answers with, and reads where it has no body model but a body."""
    reads: tuple[str, ...] = ()
    """Media types of a body without a model."""

    async def read_body(self, request: web.Request) -> BaseModel | None:
        """Read and check the body; raises InvalidRequestError."""
        if self.body is None:
            return None
        try:
            return self.body.model_validate_json(await request.read() or b"{}")
        except ValidationError as error:
            lines = [
                f"{'.'.join(map(str, item['loc'])) or 'body'}: {item['msg']}"
                for item in error.errors(include_url=False, include_input=False)
            ]
            raise InvalidRequestError("; ".join(lines)) from None


def openapi_document(
    endpoints: Sequence[Endpoint],
    *,
    title: str,
    version: str,
    errors: str = "application/problem+json",
    scopes: Sequence[str] = (),
) -> dict[str, Any]:
    """Return the OpenAPI 3.1 document of a table; `errors` is the media type of refusals."""
    paths: dict[str, Any] = {}
    schemas: dict[str, Any] = {}
    for endpoint in endpoints:
        operation: dict[str, Any] = {
            "summary": endpoint.summary,
            "parameters": _parameters(endpoint),
            "responses": {
                "200": {"description": "Done.", "content": {name: {} for name in endpoint.media}},
                "default": {"description": "Refused.", "content": {errors: {}}},
            },
        }
        if endpoint.scope:
            operation["security"] = [{"apiKey": []}, {"oauth": [endpoint.scope]}]
        if endpoint.reads:
            content = {name: {"schema": {"type": "string"}} for name in endpoint.reads}
            operation["requestBody"] = {"content": content}
        if endpoint.body is not None:
            name = endpoint.body.__name__
            schemas[name] = endpoint.body.model_json_schema(
                by_alias=True, ref_template="#/components/schemas/{model}"
            )
            schemas.update(schemas[name].pop("$defs", {}))
            reference = {"$ref": f"#/components/schemas/{name}"}
            operation["requestBody"] = {"content": {"application/json": {"schema": reference}}}
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = operation
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": version},
        "security": [{"apiKey": []}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": _security_schemes(scopes),
        },
    }


def _security_schemes(scopes: Sequence[str]) -> dict[str, Any]:
    schemes: dict[str, Any] = {"apiKey": {"type": "http", "scheme": "bearer"}}
    if scopes:
        flow = {"tokenUrl": "/api/v2/oauth/token", "scopes": dict.fromkeys(scopes, "")}
        schemes["oauth"] = {"type": "oauth2", "flows": {"clientCredentials": flow}}
    return schemes


def _parameters(endpoint: Endpoint) -> list[dict[str, Any]]:
    in_path = [part[1:-1] for part in endpoint.path.split("/") if part.startswith("{")]
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in in_path
    ] + [{"name": name, "in": "query", "schema": {"type": "string"}} for name in endpoint.query]
