"""The agent's local API: HTTP on a Unix socket in the state directory, for its owner alone.

GET  /status                     `status --json`
GET  /state                      {"state", "auth_url", "error", "health"}
GET  /preferences
POST /up                         {"preferences": {...}, "auth_key": "...", "must_log_in": bool}
POST /down /logout /stop
POST /ping                       {"target": NAME, "timeout_s": 5}
GET  /netcheck                   {"report": {...}, "text": "...", "hint": "..."}
GET  /whois?address= /access /admissions /denials /flows /rules
GET  /metrics                    Prometheus text
and what `node.agent.debug` lists
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from aiohttp import web

from control.wire import DerpMap
from node.agent.access import access_json
from node.agent.api_body import json_object
from node.agent.debug import DebugApi
from node.agent.status import status_json
from node.agent.whois import whois_json
from node.localapi import status as path_status
from node.paths.netcheck.text import hard_nat_hint, render
from node.state.directory import StateError
from node.state.preferences import PreferencesError

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable, Mapping
    from pathlib import Path

    from node.agent.agent import Agent
    from node.datapath.pipeline import PythonDataPath

__all__ = ["AgentApi"]

_SECRET_UMASK = 0o077
_MAX_BODY_BYTES = 1 << 20


class AgentApi:
    """Handlers over one agent."""

    def __init__(self, agent: Agent, stop: asyncio.Event) -> None:
        self._agent = agent
        self._stop = stop

    async def serve(self, where: Path) -> web.AppRunner:
        """Listen on a socket that only its owner can open; the caller cleans the runner up."""
        runner = web.AppRunner(self._app(), access_log=None, handle_signals=False)
        await runner.setup()
        where.unlink(missing_ok=True)  # noqa: ASYNC240  one system call at the start
        # Nobody may get in between the socket's birth and its permissions.
        umask = os.umask(_SECRET_UMASK)
        try:
            await web.UnixSite(runner, str(where)).start()
        finally:
            os.umask(umask)
        return runner

    def _app(self) -> web.Application:
        app = web.Application(client_max_size=_MAX_BODY_BYTES, middlewares=[_explain])
        app.add_routes(
            [
                web.get("/status", self._status),
                web.get("/state", self._state),
                web.get("/preferences", self._preferences),
                web.post("/up", self._up),
                web.post("/down", self._verb(self._agent.down)),
                web.post("/logout", self._verb(self._agent.logout)),
                web.post("/stop", self._stop_agent),
                web.post("/ping", self._ping),
                web.get("/netcheck", self._netcheck),
                web.get("/whois", self._whois),
                web.get("/access", self._access),
                web.get("/denials", self._reader(path_status.denials)),
                web.get("/admissions", self._reader(path_status.admissions)),
                web.get("/flows", self._reader(path_status.flows)),
                web.get("/rules", self._reader(path_status.rules)),
                web.get("/metrics", self._metrics),
                *DebugApi(self._agent).routes,
            ]
        )
        return app

    async def _status(self, _: web.Request) -> web.Response:
        return web.json_response(status_json(await self._agent.snapshot()))

    async def _state(self, _: web.Request) -> web.Response:
        found = await self._agent.snapshot()
        return web.json_response(
            {
                "state": found.state,
                "auth_url": found.auth_url,
                "error": self._agent.login_error,
                "health": list(found.health),
            }
        )

    async def _preferences(self, _: web.Request) -> web.Response:
        return web.json_response(self._agent.preferences.to_json())

    async def _up(self, request: web.Request) -> web.Response:
        wanted = await json_object(request)
        await self._agent.up(
            wanted.get("preferences") or {},
            auth_key=str(wanted.get("auth_key") or ""),
            must_log_in=bool(wanted.get("must_log_in")),
        )
        return web.json_response({})

    def _verb(
        self, verb: Callable[[], Awaitable[None]]
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handle(_: web.Request) -> web.StreamResponse:
            await verb()
            return web.json_response({})

        return handle

    async def _stop_agent(self, _: web.Request) -> web.Response:
        self._stop.set()
        return web.json_response({})

    async def _ping(self, request: web.Request) -> web.Response:
        wanted = await json_object(request)
        timeout_s = min(60.0, max(0.1, float(wanted.get("timeout_s", 5))))
        return web.json_response(await self._agent.ping(str(wanted.get("target")), timeout_s))

    async def _netcheck(self, _: web.Request) -> web.Response:
        report = await self._agent.netcheck()
        if report is None:
            raise PreferencesError("no relays are known yet; run `postern up` first")
        netmap = self._agent.netmap
        derp_map = netmap.derp_map if netmap is not None else None
        time_text = datetime.now(UTC).isoformat(timespec="milliseconds")
        answer = {
            "report": report.to_json(),
            "text": render(report, derp_map or DerpMap(), time_text),
            "hint": hard_nat_hint(report),
        }
        return web.json_response(answer)

    async def _whois(self, request: web.Request) -> web.Response:
        applied = self._agent.applied
        return web.json_response(
            whois_json(
                self._agent.netmap,
                request.query.get("address", ""),
                applied.rules if applied is not None else (),
            )
        )

    async def _access(self, _: web.Request) -> web.Response:
        tunnel = self._agent.tunnel
        denials: Mapping[str, Any] = {}
        admissions: Mapping[str, Any] = {}
        if tunnel is not None:
            path = tunnel.path
            denials, admissions = await tunnel.ask(
                lambda: (path_status.denials(path), path_status.admissions(path))
            )
        reach = await self._agent.reach()
        return web.json_response(
            access_json(
                self._agent.netmap,
                self._agent.applied,
                reach,
                denials=denials,
                admissions=admissions,
            )
        )

    def _reader(
        self, read: Callable[[PythonDataPath], object]
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handle(_: web.Request) -> web.StreamResponse:
            tunnel = self._agent.tunnel
            if tunnel is None:
                raise PreferencesError("not connected; run `postern up`")
            return web.json_response(await tunnel.ask(lambda: read(tunnel.path)))

        return handle

    async def _metrics(self, _: web.Request) -> web.Response:
        # Here and not above: an agent that nobody measures is smaller and starts sooner.
        from node.datapath.metrics import prometheus_text  # noqa: PLC0415  see above

        tunnel = self._agent.tunnel
        if tunnel is not None:
            text = await tunnel.ask(lambda: prometheus_text(tunnel.path))
        else:
            text = prometheus_text(None)
        return web.Response(body=text, content_type="text/plain", charset="utf-8")


@web.middleware
async def _explain(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Turn what a user did wrong, or a disk that is full, into an answer."""
    try:
        return await handler(request)
    except PreferencesError as error:
        return web.json_response({"error": str(error)}, status=422)
    except StateError as error:
        return web.json_response({"error": str(error)}, status=500)
