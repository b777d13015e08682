"""Who asked what: a request ID, one line in the log and one count for every request.

The ID of a request is in every line that is logged on its behalf, in the response's header and in
an error's body. A proxy that is trusted may have made it. Paths are logged as routes, since some
hold what only the caller should know.
"""

from __future__ import annotations

import asyncio
import re
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import structlog
from aiohttp import web
from prometheus_client import CollectorRegistry, Counter, Histogram

from control.http.refusals import refusal_of
from control.http.request_id import request_id

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiohttp.typedefs import Handler as HttpHandler

    from control.channel.driver import Handler
    from control.channel.responses import ChannelRequest, ChannelResponse, ResponseStream
    from control.keys import Entropy

__all__ = ["HEADER", "Journal"]

HEADER: Final = "X-Request-Id"
_ACCEPTED: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/+=-]{0,127}", re.ASCII)
_SWITCHED: Final = 101
_GONE: Final = 499
"""What the log has for a request whose client did not wait for the answer."""
_ELSEWHERE: Final = "unmatched"
_log = structlog.get_logger("control.http")


class Journal:
    """Notes every request of all listeners and of the control channel."""

    def __init__(
        self,
        entropy: Entropy,
        *,
        is_trusted: Callable[[web.BaseRequest], bool],
        remote_of: Callable[[web.BaseRequest], str],
        channel_paths: frozenset[str] = frozenset(),
    ) -> None:
        """Make a journal; `channel_paths` are counted by name, all others together."""
        self._entropy = entropy
        self._is_trusted = is_trusted
        self._remote_of = remote_of
        self._channel_paths = channel_paths
        self.registry = CollectorRegistry()
        """Holds the counts."""
        self._requests = Counter(
            "postern_control_http_requests",
            "Requests answered.",
            ("method", "route", "status"),
            registry=self.registry,
        )
        self._seconds = Histogram(
            "postern_control_http_request_seconds",
            "Time to the end of the answer; streams and upgraded connections are left out.",
            ("route",),
            registry=self.registry,
        )

    @web.middleware
    async def middleware(
        self,
        request: web.Request,
        handler: HttpHandler,
    ) -> web.StreamResponse:
        """Answer a request of a listener; errors become answers in the shape of the API asked."""
        with request_id.bound(self._id_of(request)) as own:
            started, status = time.perf_counter(), _GONE
            try:
                answer = await self._answered(request, handler)
                status = answer.status
                if not answer.prepared:
                    answer.headers[HEADER] = own
                return answer
            finally:
                self._note(
                    request.method, _route_of(request), status, time.perf_counter() - started
                )
                _log.info(
                    "request",
                    method=request.method,
                    route=_route_of(request),
                    status=status,
                    seconds=round(time.perf_counter() - started, 4),
                    remote=self._remote_of(request),
                )

    def channel(self, handle: Handler) -> Handler:
        """Return a handler of the control channel that notes what it is asked."""

        async def journaled(
            request: ChannelRequest, stream: ResponseStream
        ) -> ChannelResponse | None:
            with request_id.bound(self._entropy(8).hex()) as own:
                route = request.path if request.path in self._channel_paths else _ELSEWHERE
                started, status = time.perf_counter(), _GONE
                try:
                    answer = await handle(request, stream)
                    status = _SWITCHED if answer is None else answer.status
                except (asyncio.CancelledError, ConnectionError):
                    raise
                except Exception:
                    status = 500
                    raise
                finally:
                    self._note(request.method, route, status, time.perf_counter() - started)
                    _log.debug(
                        "channel request",
                        method=request.method,
                        route=route,
                        status=status,
                        remote=request.remote,
                        machine=request.machine.short(),
                    )
                if answer is None:
                    return None
                return replace(answer, headers=(*answer.headers, (HEADER.lower(), own)))

        return journaled

    def _note(self, method: str, route: str, status: int, seconds: float) -> None:
        known = method if method in _METHODS else "other"
        self._requests.labels(known, route, str(status)).inc()
        if status not in {_SWITCHED, _GONE}:
            self._seconds.labels(route).observe(seconds)

    def _id_of(self, request: web.BaseRequest) -> str:
        given = request.headers.get(HEADER, "")
        if _ACCEPTED.fullmatch(given) and self._is_trusted(request):
            return given
        return self._entropy(8).hex()

    async def _answered(self, request: web.Request, handler: HttpHandler) -> web.StreamResponse:
        try:
            return await handler(request)
        except web.HTTPException as error:
            return refusal_of(request.path, error)
        except (asyncio.CancelledError, ConnectionError):
            raise
        except Exception:  # noqa: BLE001  one request's fault must not look like anything else
            _log.exception("request failed", method=request.method, route=_route_of(request))
            return refusal_of(request.path, web.HTTPInternalServerError())


_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def _route_of(request: web.Request) -> str:
    """Return the route as it was declared, such as `/register/{id}`."""
    resource = request.match_info.route.resource
    return _ELSEWHERE if resource is None else resource.canonical
