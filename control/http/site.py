"""Endpoints over plain HTTP that nodes, relays and browsers use (control reference 5.2)."""

from __future__ import annotations

import json
from html import escape
from typing import TYPE_CHECKING

import sqlalchemy as sa
from aiohttp import web

from control.http.pages import LOGIN_IS_OVER, page
from control.keys import KeyTextError, NodePublic
from control.wire import ServerKeys
from policy.report.version import product_version

if TYPE_CHECKING:
    from control.http.sign_in import SignInPages
    from control.http.ts2021 import Ts2021
    from control.identity.logins import Logins
    from control.identity.ssh_checks import SshChecks
    from control.keys import MachinePublic
    from control.registry.ledger import Ledger

__all__ = ["Site"]

_FIRST_NOISE_VERSION = 39
_MAX_VERIFY_BYTES = 4096


class Site:
    """The public listener, apart from the REST API."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        ts2021: Ts2021,
        logins: Logins,
        checks: SshChecks,
        control: MachinePublic,
        sign_in: SignInPages | None,
    ) -> None:
        self._sign_in = sign_in
        self._ledger = ledger
        self._logins = logins
        self._checks = checks
        self._ts2021 = ts2021
        self._control = control

    def add_routes(self, app: web.Application) -> None:
        """Put every endpoint in place."""
        app.add_routes(
            [
                web.get("/key", self._key),
                web.post("/ts2021", self._ts2021.upgrade),
                web.get("/health", self._health),
                web.get("/robots.txt", self._robots),
                web.get("/register/{id}", self._register),
                web.get("/auth/{id}", self._auth),
                web.get("/version", self._version),
                web.head("/machine/ping-response", self._ping_response),
                web.get("/ts2021", self._ts2021.upgrade_websocket),
                web.post("/verify", self._verify),
                web.get("/generate_204", self._generate_204),
            ]
        )

    async def _key(self, request: web.Request) -> web.Response:
        version = request.query.get("v", "")
        if not (version.isascii() and version.isdigit() and len(version) < 6):
            return web.Response(status=400, text="missing or bad version: GET /key?v=NUMBER")
        if int(version) < _FIRST_NOISE_VERSION:
            return web.Response()
        return web.json_response(ServerKeys(public_key=self._control).to_json())

    async def _health(self, _request: web.Request) -> web.Response:
        try:
            async with self._ledger.database.reading() as connection:
                await connection.execute(sa.select(1))
        except (sa.exc.SQLAlchemyError, OSError):
            return _health_response(500, "fail")
        return _health_response(200, "pass")

    async def _robots(self, _request: web.Request) -> web.Response:
        return web.Response(text="User-agent: *\nDisallow: /\n")

    async def _register(self, request: web.Request) -> web.Response:
        """Show how a waiting node is let in: by the identity provider, or by an administrator."""
        login = self._logins.find(request.match_info["id"])
        if login is None or login.decided.done():
            text = LOGIN_IS_OVER
            return page(text, status=404)
        if self._sign_in is not None:
            return await self._sign_in.begin(request, login)
        command = f"postern control auth register --auth-id {login.id} --user USER"
        hostname = login.request.hostinfo.hostname if login.request.hostinfo else ""
        text = (
            f"<p>The device <b>{escape(hostname)}</b> with the machine key "
            f"<code>{escape(login.machine.short())}</code> waits to be let in.</p>"
            f"<p>An administrator of the server runs:</p><pre>{escape(command)}</pre>"
        )
        return page(text)

    async def _auth(self, request: web.Request) -> web.Response:
        """Show how an SSH session is let in; older links to waiting nodes lead here too."""
        check = self._checks.find(request.match_info["id"])
        if check is None:
            return await self._register(request)
        if check.decided.done():
            return page(LOGIN_IS_OVER, status=404)
        if self._sign_in is not None:
            return await self._sign_in.begin(request, check)
        command = f"postern control auth approve --auth-id {check.id}"
        return page(
            f"<p>An SSH session as <b>{escape(check.account)}</b> waits to be let in.</p>"
            f"<p>An administrator of the server runs:</p><pre>{escape(command)}</pre>"
        )

    async def _ping_response(self, _request: web.Request) -> web.Response:
        """Answer a node that was asked to show that it lives: this server asks none to."""
        return web.Response(status=404)

    async def _version(self, _request: web.Request) -> web.Response:
        return web.json_response({"version": product_version()})

    async def _verify(self, request: web.Request) -> web.Response:
        """Tell a relay whether a node may use it; anything in doubt may not."""
        body = b""
        while len(body) <= _MAX_VERIFY_BYTES and (piece := await request.content.readany()):
            body += piece
        return web.json_response({"Allow": len(body) <= _MAX_VERIFY_BYTES and self._admits(body)})

    def _admits(self, body: bytes) -> bool:
        try:
            asked = json.loads(body)
            key = NodePublic.from_text(asked["NodePublic"])
        except (ValueError, KeyError, TypeError, AttributeError, KeyTextError, RecursionError):
            return False
        return self._ledger.tailnet.is_member(key, self._ledger.now())

    async def _generate_204(self, request: web.Request) -> web.Response:
        challenge = request.headers.get("X-Tailscale-Challenge", "")
        allowed = challenge.isascii() and challenge.translate(_NO_PUNCTUATION).isalnum()
        if 0 < len(challenge) <= 64 and allowed:
            return web.Response(
                status=204, headers={"X-Tailscale-Response": f"response {challenge}"}
            )
        return web.Response(status=204)


_NO_PUNCTUATION = str.maketrans("", "", ".:_-")


def _health_response(status: int, text: str) -> web.Response:
    body = json.dumps({"status": text})
    return web.Response(status=status, text=body, content_type="application/health+json")
