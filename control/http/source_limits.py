"""How often one address may ask for what costs the server something, as a middleware."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from aiohttp import web

from control.http.pages import page

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from control.http.ratelimit import RateLimit

    Handle = Callable[[web.Request], Awaitable[web.StreamResponse]]

__all__ = ["SourceLimits"]

_CONNECTING = frozenset({"/key", "/ts2021"})
_LOGIN_PAGES = ("/auth/", "/register/", "/oidc/")


class SourceLimits:
    """Limits of the public listener; the address is the client's, behind trusted proxies too."""

    def __init__(
        self, *, connect: RateLimit, login: RateLimit, remote_of: Callable[[web.Request], str]
    ) -> None:
        self._connect = connect
        self._login = login
        self._remote_of = remote_of

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handle) -> web.StreamResponse:
        """Refuse with 429 and a time to wait."""
        if request.path in _CONNECTING:
            wait_s = self._connect.wait_s(self._remote_of(request))
            if wait_s > 0:
                text = "too many connections; wait and try again"
                return _refused(web.Response(status=429, text=text), wait_s)
        elif request.path.startswith(_LOGIN_PAGES):
            wait_s = self._login.wait_s(self._remote_of(request))
            if wait_s > 0:
                text = "Too many logins; try again in a little while."
                return _refused(page(text, status=429), wait_s)
        return await handler(request)


def _refused(answer: web.Response, wait_s: float) -> web.Response:
    answer.headers["Retry-After"] = str(math.ceil(wait_s))
    return answer
