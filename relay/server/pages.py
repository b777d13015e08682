"""What a relay answers over plain HTTP: probes, captive-portal check, names, home page, metrics."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import TYPE_CHECKING

from aiohttp import web

from relay.server.metrics import exposition
from relay.server.websocket import serve_websocket
from relay.upgrade import DERP_PATH

if TYPE_CHECKING:
    from relay.server.hub import Hub
    from relay.server.stun_socket import StunSocket

__all__ = ["Pages", "build_application", "build_portal_application"]

_CHALLENGE = re.compile(r"[A-Za-z0-9.\-_:]{1,64}")
_FORWARDED = ("Forwarded", "X-Forwarded-For", "X-Real-IP", "Via")
"""What a proxy on this host, which speaks for everybody, says of whom it speaks for."""
_NO_CACHE = "no-cache, no-store, must-revalidate, no-transform, max-age=0"


@dataclass(slots=True)
class Pages:
    """What the pages show."""

    hub: Hub
    home: str = ""
    """Empty for the default page, `blank` for nothing, or a URL to redirect to."""
    bootstrap_names: dict[str, list[str]] = field(default_factory=dict)
    """Names and addresses that clients with broken DNS may need."""
    stun_sockets: list[StunSocket] = field(default_factory=list)

    async def probe(self, _request: web.Request) -> web.Response:
        """Answer a latency probe with as little as possible."""
        return web.Response(headers={"Access-Control-Allow-Origin": "*"})

    async def bad_probe(self, _request: web.Request) -> web.Response:
        """Refuse other methods on the probe paths."""
        return web.Response(status=405, text="bogus probe method")

    async def no_content(self, request: web.Request) -> web.Response:
        """Answer 204, proving with the challenge that no portal answered in our place."""
        headers = {"Cache-Control": _NO_CACHE}
        challenge = request.headers.get("X-Tailscale-Challenge", "")
        if _CHALLENGE.fullmatch(challenge):
            headers["X-Tailscale-Response"] = f"response {challenge}"
        return web.Response(status=204, headers=headers)

    async def bootstrap_dns(self, request: web.Request) -> web.Response:
        """Return addresses of configured names, all or one."""
        wanted = request.query.get("q")
        names = self.bootstrap_names
        found = {wanted: names[wanted]} if wanted in names and wanted else names
        return web.json_response(found, headers={"Connection": "close"})

    async def robots(self, _request: web.Request) -> web.Response:
        """Keep crawlers away."""
        return web.Response(text="User-agent: *\nDisallow: /\n")

    async def index(self, _request: web.Request) -> web.Response:
        """Say what this machine is."""
        if self.home.startswith(("http://", "https://")):
            raise web.HTTPFound(self.home)
        if self.home == "blank":
            return web.Response(text="")
        return web.Response(
            content_type="text/html",
            text="<!doctype html><title>relay</title><h1>DERP</h1>"
            "<p>This is a DERP relay of a private mesh network.</p>",
        )

    async def use_tls(self, request: web.Request) -> web.Response:
        """Send a browser to the port that has TLS."""
        raise web.HTTPFound(request.url.with_scheme("https").with_port(None))

    async def derp(self, request: web.Request) -> web.StreamResponse:
        """Serve DERP over a WebSocket; every other upgrade was taken before it came here."""
        return await serve_websocket(self.hub, request)

    async def metrics(self, request: web.Request) -> web.Response:
        """Return metrics, to this host alone."""
        if not _is_local(request.remote) or any(name in request.headers for name in _FORWARDED):
            raise web.HTTPForbidden(text="debug pages are for this host only\n")
        body, content_type = exposition(self.hub, self.stun_sockets)
        return web.Response(body=body, headers={"Content-Type": content_type})

    def derp_routes(self) -> list[web.RouteDef]:
        """Return what every server that relays must answer, whatever else it is."""
        probes = ("/derp/probe", "/derp/latency-check")
        return [
            *(web.get(path, self.probe) for path in probes),
            *(web.route("*", path, self.bad_probe) for path in probes),
            web.get("/bootstrap-dns", self.bootstrap_dns),
            web.get(DERP_PATH, self.derp),
        ]

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of a relay that stands alone."""
        return [
            *self.derp_routes(),
            web.route("*", "/generate_204", self.no_content),
            web.get("/robots.txt", self.robots),
            web.get("/", self.index),
            web.get("/debug/metrics", self.metrics),
        ]


def build_application(pages: Pages) -> web.Application:
    """Return the application of a relay that stands alone."""
    application = web.Application()
    application.add_routes(pages.routes())
    return application


def build_portal_application(pages: Pages) -> web.Application:
    """Return the application of port 80: the check for captive portals, and the way to TLS."""
    application = web.Application()
    application.router.add_route("*", "/generate_204", pages.no_content)
    application.router.add_get("/{rest:.*}", pages.use_tls)
    return application


def _is_local(remote: str | None) -> bool:
    try:
        return ip_address(remote or "").is_loopback
    except ValueError:
        return False
