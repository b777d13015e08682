"""Serves the local API of one interface.

GET  /status /rules /flows /admissions /denials     JSON
GET  /metrics                           Prometheus text
PUT  /filter                            a filter file (`node.filterfile`); 422 keeps the last
DELETE /filter                          let everything pass
PUT  /offloads                          {"tun": "none|tcp|tcp_and_udp", "udp": bool}
PUT  /capture                           {"file": path, "what": "all|allowed|dropped"}
DELETE /capture
POST /stop
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from aiohttp import web

from engine.rules import MalformedRuleError
from node.datapath.capture import Capture
from node.datapath.tun import Offloads
from node.filterfile import FilterFileError, parse_filter
from node.localapi import status

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from engine.netset import IpSet
    from node.datapath.loop import PacketLoop
    from node.datapath.pipeline import PythonDataPath

Result = TypeVar("Result")

_MAX_FILTER_BYTES = 16 << 20


class LocalApi:
    """Handlers over one data path; everything that touches it runs in the packet loop."""

    def __init__(
        self, loop: PacketLoop, path: PythonDataPath, name: str, fwmark: int, local: IpSet
    ) -> None:
        self.stopped = asyncio.Event()
        self._loop = loop
        self._path = path
        self._name = name
        self._fwmark = fwmark
        self._local = local

    def app(self) -> web.Application:
        """Return the application to serve."""
        app = web.Application(client_max_size=_MAX_FILTER_BYTES)
        app.add_routes(
            [
                web.get("/status", self._status),
                web.get("/rules", self._reader(status.rules)),
                web.get("/flows", self._reader(status.flows)),
                web.get("/denials", self._reader(status.denials)),
                web.get("/admissions", self._reader(status.admissions)),
                web.get("/metrics", self._metrics),
                web.put("/filter", self._put_filter),
                web.delete("/filter", self._delete_filter),
                web.put("/offloads", self._put_offloads),
                web.put("/capture", self._put_capture),
                web.delete("/capture", self._delete_capture),
                web.post("/stop", self._stop),
            ]
        )
        return app

    async def _ask(self, function: Callable[[], Result]) -> Result:
        return await asyncio.wrap_future(self._loop.call(function))

    def _reader(
        self, read: Callable[[PythonDataPath], object]
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handle(_: web.Request) -> web.StreamResponse:
            return web.json_response(await self._ask(lambda: read(self._path)))

        return handle

    async def _status(self, _: web.Request) -> web.Response:
        found = await self._ask(
            lambda: status.interface_status(self._path, self._name, self._fwmark)
        )
        return web.json_response(found)

    async def _metrics(self, _: web.Request) -> web.Response:
        # Here and not above: an interface that nobody measures is smaller and starts sooner.
        from node.datapath.metrics import prometheus_text  # noqa: PLC0415  see above

        text = await self._ask(lambda: prometheus_text(self._path))
        return web.Response(body=text, content_type="text/plain", charset="utf-8")

    async def _put_filter(self, request: web.Request) -> web.Response:
        text = await request.text()
        try:
            parsed = parse_filter(text)
        except FilterFileError as error:
            why = str(error)
            await self._ask(lambda: self._path.gate.refuse(why))
            return web.json_response({"error": why}, status=422)
        local = parsed.local or self._local
        try:
            await self._ask(lambda: self._path.install_rules(parsed.rules, local))
        except MalformedRuleError as error:
            return web.json_response({"error": str(error)}, status=422)
        return web.json_response({"rules": len(parsed.rules)})

    async def _delete_filter(self, _: web.Request) -> web.Response:
        await self._ask(self._path.remove_filter)
        return web.json_response({})

    async def _put_offloads(self, request: web.Request) -> web.Response:
        wanted = await request.json()
        try:
            tun = Offloads[str(wanted["tun"]).upper()]
            udp = bool(wanted["udp"])
        except (KeyError, TypeError):
            return web.json_response({"error": "expected tun and udp"}, status=400)
        await self._ask(lambda: self._set_offloads(tun, udp=udp))
        return web.json_response({})

    def _set_offloads(self, tun: Offloads, *, udp: bool) -> None:
        self._path.tun.set_offloads(tun)
        self._path.transport.set_offloads(enabled=udp)

    async def _put_capture(self, request: web.Request) -> web.Response:
        wanted = await request.json()
        what = wanted.get("what", "all")
        if what not in ("all", "allowed", "dropped") or not isinstance(wanted.get("file"), str):
            return web.json_response({"error": "expected file and what"}, status=400)
        try:
            # The file outlives this call: the capture closes it.
            file = await asyncio.to_thread(Path(wanted["file"]).open, "wb")
        except OSError as error:
            return web.json_response({"error": f"{wanted['file']}: {error.strerror}"}, status=422)
        capture = Capture(
            file,
            time.time_ns,
            keeps_allowed=what != "dropped",
            keeps_dropped=what != "allowed",
        )
        await self._ask(lambda: self._set_capture(capture))
        return web.json_response({})

    async def _delete_capture(self, _: web.Request) -> web.Response:
        await self._ask(lambda: self._set_capture(None))
        return web.json_response({})

    def _set_capture(self, capture: Capture | None) -> None:
        old, self._path.gate.capture = self._path.gate.capture, capture
        if old is not None:
            old.close()

    async def _stop(self, _: web.Request) -> web.Response:
        self.stopped.set()
        return web.json_response({})
