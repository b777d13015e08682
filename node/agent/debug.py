"""What `postern debug` shows of an agent, and what it switches. Nothing in here holds a secret.

GET    /debug/netmap /debug/filter /debug/derp-map /debug/paths
PUT    /debug/capture           {"file": path, "what": "all|allowed|dropped"}
DELETE /debug/capture
PUT    /debug/log-level         {"level": "debug|info|warning|error"}
"""

from __future__ import annotations

import asyncio
import logging
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web

from node.agent.api_body import json_object
from node.agent.desired import short_name
from node.datapath.capture import Capture
from node.localapi import status as path_status
from node.state.last_netmap import to_disk
from node.state.preferences import PreferencesError

if TYPE_CHECKING:
    from node.agent.agent import Agent
    from node.agent.tunnel import Tunnel
    from node.netmap.netmap import NetMap
    from node.paths.peer_path import PeerPath

__all__ = ["DebugApi"]

_LEVELS: Final = ("debug", "info", "warning", "error")
_CAPTURED: Final = ("all", "allowed", "dropped")


class DebugApi:
    """The part of the local API for looking under the hood."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent

    @property
    def routes(self) -> list[web.RouteDef]:
        """What to serve."""
        return [
            web.get("/debug/netmap", self._netmap),
            web.get("/debug/derp-map", self._derp_map),
            web.get("/debug/filter", self._filter),
            web.get("/debug/paths", self._paths),
            web.put("/debug/capture", self._start_capture),
            web.delete("/debug/capture", self._stop_capture),
            web.put("/debug/log-level", self._log_level),
        ]

    def _held_netmap(self) -> NetMap:
        netmap = self._agent.netmap
        if netmap is None:
            raise PreferencesError("no netmap yet; run `postern up`")
        return netmap

    def _tunnel(self) -> Tunnel:
        tunnel = self._agent.tunnel
        if tunnel is None:
            raise PreferencesError("not connected; run `postern up`")
        return tunnel

    async def _netmap(self, _: web.Request) -> web.Response:
        return web.json_response(to_disk(self._held_netmap()))

    async def _derp_map(self, _: web.Request) -> web.Response:
        derp_map = self._held_netmap().derp_map
        return web.json_response(None if derp_map is None else derp_map.to_json())

    async def _filter(self, _: web.Request) -> web.Response:
        tunnel, applied = self._tunnel(), self._agent.applied
        counted = await tunnel.ask(lambda: path_status.rules(tunnel.path))
        counts = {each["index"]: each for each in counted}
        rules = applied.rules if applied is not None else ()
        return web.json_response(
            [
                {"rule": rule.to_wire(with_origins=True), "counted": counts.get(index)}
                for index, rule in enumerate(rules)
            ]
        )

    async def _paths(self, _: web.Request) -> web.Response:
        tunnel = self._tunnel()
        peers = {peer.key.raw: short_name(peer) for peer in self._held_netmap().peers.values()}

        def read() -> list[dict[str, Any]]:
            now = time.monotonic()
            found = [(name, tunnel.path.book.path(key)) for key, name in peers.items()]
            return [_path(name, path, now) for name, path in found if path is not None]

        return web.json_response(await tunnel.ask(read))

    async def _start_capture(self, request: web.Request) -> web.Response:
        tunnel, wanted = self._tunnel(), await json_object(request)
        where, what = wanted.get("file"), wanted.get("what", "all")
        if not isinstance(where, str) or what not in _CAPTURED:
            raise PreferencesError(f"expected file, and what: {', '.join(_CAPTURED)}")
        try:
            # The file outlives this call: the capture closes it.
            file = await asyncio.to_thread(Path(where).open, "wb")
        except OSError as error:
            raise PreferencesError(f"{where}: {error.strerror}") from None
        capture = Capture(
            file,
            time.time_ns,
            keeps_allowed=what != "dropped",
            keeps_dropped=what != "allowed",
        )
        await tunnel.ask(lambda: _swap_capture(tunnel, capture))
        return web.json_response({})

    async def _stop_capture(self, _: web.Request) -> web.Response:
        tunnel = self._tunnel()
        await tunnel.ask(lambda: _swap_capture(tunnel, None))
        return web.json_response({})

    async def _log_level(self, request: web.Request) -> web.Response:
        level = (await json_object(request)).get("level")
        if level not in _LEVELS:
            raise PreferencesError(f"expected a level: {', '.join(_LEVELS)}")
        logging.getLogger("postern").setLevel(level.upper())
        return web.json_response({})


def _swap_capture(tunnel: Tunnel, capture: Capture | None) -> None:
    gate = tunnel.path.gate
    old, gate.capture = gate.capture, capture
    if old is not None:
        old.close()


def _path(name: str, path: PeerPath, now: float) -> dict[str, Any]:
    best = path.best
    return {
        "peer": name,
        "kind": path.kind(now).value,
        "best": None
        if best is None
        else {"endpoint": str(best.endpoint), "latency_ms": round(best.latency_ns / 1e6, 3)},
        "candidates": sorted(map(str, path.candidates())),
    }
