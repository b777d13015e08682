"""How errors are answered: RFC 9457 in API v1, the service's own shape in v2, text elsewhere."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web

from control.errors import (
    AlreadyExistsError,
    ControlError,
    InvalidRequestError,
    NotFoundError,
    StaleError,
)
from control.http.request_id import request_id
from control.policies.in_force import PolicyRefusedError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["problem", "refusal", "refusal_of", "status_of"]

_STATUS: Final[Sequence[tuple[type[ControlError], int]]] = (
    (NotFoundError, 404),
    (AlreadyExistsError, 409),
    (StaleError, 412),
    (InvalidRequestError, 400),
    (PolicyRefusedError, 400),
)


def status_of(error: ControlError) -> int:
    """Return the HTTP status that says what kind of error it is."""
    return next((status for kind, status in _STATUS if isinstance(error, kind)), 400)


def problem(status: int, detail: str, **more: Any) -> web.Response:
    """Return an error as RFC 9457 has it."""
    body = {"title": _title(status), "status": status, "detail": detail, **more}
    if request_id.current:
        body["requestId"] = request_id.current
    return web.json_response(body, status=status, content_type="application/problem+json")


def refusal(status: int, message: str, data: list[Any] | None = None) -> web.Response:
    """Return an error as the service's API has it."""
    body: dict[str, Any] = {"message": message, "status": status}
    if data:
        body["data"] = data
    return web.json_response(body, status=status)


def refusal_of(path: str, error: web.HTTPException) -> web.Response:
    """Return what a listener answers by itself, such as 404, in the shape of the API asked."""
    text = {
        404: "there is nothing at this path",
        405: "this path does not take this method",
        413: "the body is too large",
        500: "internal error; the server's log has it under this request's ID",
    }.get(error.status, error.reason)
    if path.startswith("/api/v1/"):
        answer = problem(error.status, text)
    elif path.startswith("/api/v2/"):
        answer = refusal(error.status, text)
    else:
        answer = web.Response(status=error.status, text=f"{error.status}: {error.reason}")
    for name in ("Allow", "Location"):
        if name in error.headers:
            answer.headers[name] = error.headers[name]
    return answer


def _title(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error"
