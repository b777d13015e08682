"""Pages for people, which nothing may frame, cache or run scripts on."""

from __future__ import annotations

from typing import Final

from aiohttp import web

__all__ = ["LOGIN_IS_OVER", "page"]

LOGIN_IS_OVER: Final = "This login is over or was never there. Start again on the device."
_HEADERS: Final = {
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; form-action 'self'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


def page(body: str, *, status: int = 200) -> web.Response:
    """Return a page; `body` is HTML, in which the caller has escaped what others wrote."""
    text = f"<!doctype html><meta charset=utf-8><title>Register a device</title>{body}"
    return web.Response(status=status, text=text, content_type="text/html", headers=_HEADERS)
