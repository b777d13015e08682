"""Pages for people, which nothing may frame, cache or run scripts on."""

from __future__ import annotations

from html import escape
from typing import Any, Final

from aiohttp import web

__all__ = ["LOGIN_IS_OVER", "docs_page", "page"]

LOGIN_IS_OVER: Final = "This login is over or was never there. Start again on the device."
_HEADERS: Final = {
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; form-action 'self'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


def page(body: str, *, status: int = 200, title: str = "Register a device") -> web.Response:
    """Return a page; `body` is HTML, in which the caller has escaped what others wrote."""
    text = f"<!doctype html><meta charset=utf-8><title>{title}</title>{body}"
    return web.Response(status=status, text=text, content_type="text/html", headers=_HEADERS)


def docs_page(document: dict[str, Any]) -> web.Response:
    """Return the endpoints of an OpenAPI document as a table."""
    rows = "".join(
        f"<tr><td>{method.upper()}<td><code>{escape(path)}</code><td>{escape(operation['summary'])}"
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    )
    title = escape(document["info"]["title"])
    return page(f"<h1>{title}</h1><table>{rows}</table>", title=title)
