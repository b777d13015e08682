"""Bodies of requests to the agent's local API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from node.state.preferences import PreferencesError

if TYPE_CHECKING:
    from aiohttp import web

__all__ = ["json_object"]


async def json_object(request: web.Request) -> dict[str, Any]:
    """Return a request's JSON object. Raises PreferencesError for anything else."""
    try:
        value = await request.json()
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise PreferencesError("expected a JSON object")
    return value
