"""An OpenID Connect provider in a process of its own, small but honest.

It checks clients, redirect URIs, codes and PKCE as a real one does. Only that nobody types a
password is different: who logs in, and how its next token lies, is told on `/test/next`.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import secrets
import sys
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import aiohttp
from aiohttp import web
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from joserfc.jwk import KeyParameters

__all__ = ["CLIENT_ID", "CLIENT_SECRET", "ProviderProcess", "running_provider"]

CLIENT_ID = "postern"
CLIENT_SECRET = "a:secret/with+signs"  # noqa: S105  of this provider alone


class _Provider:
    def __init__(self, redirect_uri: str) -> None:
        self._redirect_uri = redirect_uri
        self._codes: dict[str, dict[str, str]] = {}
        self._claims: dict[str, Any] = {}
        self._kid = 0
        self.issuer = ""
        self._rotate()

    def _rotate(self) -> None:
        self._kid += 1
        kid: KeyParameters = {"kid": f"key-{self._kid}", "use": "sig"}
        # Kinds alternate, so that a rotation changes the algorithm too.
        self._key: RSAKey | ECKey = (
            RSAKey.generate_key(2048, kid) if self._kid % 2 else ECKey.generate_key("P-256", kid)
        )

    def app(self) -> web.Application:
        app = web.Application()
        app.add_routes(
            [
                web.get("/.well-known/openid-configuration", self._discovery),
                web.get("/authorize", self._authorize),
                web.post("/token", self._token),
                web.get("/jwks", self._jwks),
                web.post("/test/next", self._next),
            ]
        )
        return app

    async def _discovery(self, _request: web.Request) -> web.Response:
        return web.json_response(
            {
                "issuer": self.issuer,
                "authorization_endpoint": f"{self.issuer}/authorize",
                "token_endpoint": f"{self.issuer}/token",
                "jwks_uri": f"{self.issuer}/jwks",
                "code_challenge_methods_supported": ["S256"],
            }
        )

    async def _authorize(self, request: web.Request) -> web.Response:
        asked = dict(request.query)
        if (asked.get("client_id"), asked.get("redirect_uri")) != (CLIENT_ID, self._redirect_uri):
            return web.Response(status=400, text="unknown client or redirect URI")
        wanted = {"response_type": "code", "code_challenge_method": "S256"}
        if any(asked.get(name) != value for name, value in wanted.items()):
            return web.Response(status=400, text="code flow with PKCE only")
        code = secrets.token_urlsafe()
        self._codes[code] = asked
        answer = urlencode({"code": code, "state": asked["state"]})
        return web.Response(status=302, headers={"Location": f"{self._redirect_uri}?{answer}"})

    async def _token(self, request: web.Request) -> web.Response:
        form = await request.post()
        asked = self._codes.pop(str(form.get("code")), None)
        pair = base64.b64encode(b"postern:a%3Asecret%2Fwith%2Bsigns").decode()
        if request.headers.get("Authorization") != f"Basic {pair}":
            return web.json_response({"error": "invalid_client"}, status=401)
        digest = hashlib.sha256(str(form.get("code_verifier")).encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        if (
            asked is None
            or form.get("redirect_uri") != asked["redirect_uri"]
            or challenge != asked["code_challenge"]
        ):
            return web.json_response({"error": "invalid_grant"}, status=400)
        now = int(time.time())
        claims = {
            "iss": self.issuer,
            "aud": CLIENT_ID,
            "iat": now,
            "exp": now + 600,
            "nonce": asked["nonce"],
            **self._claims,
        }
        header = {"alg": "RS256" if isinstance(self._key, RSAKey) else "ES256"}
        token = jwt.encode({**header, "kid": self._key.kid}, claims, self._key)
        return web.json_response({"token_type": "Bearer", "access_token": "x", "id_token": token})

    async def _jwks(self, _request: web.Request) -> web.Response:
        return web.json_response({"keys": [self._key.as_dict(private=False)]})

    async def _next(self, request: web.Request) -> web.Response:
        order = await request.json()
        self._claims = order["claims"]
        if order["rotate"]:
            self._rotate()
        return web.Response()


class ProviderProcess:
    """The process, from outside."""

    def __init__(self, issuer: str) -> None:
        self.issuer = issuer

    async def next(self, *, rotate: bool = False, **claims: Any) -> None:
        """Say who logs in next: the claims of the token."""
        async with (
            aiohttp.ClientSession() as session,
            session.post(
                f"{self.issuer}/test/next", json={"claims": claims, "rotate": rotate}
            ) as answer,
        ):
            assert answer.status == 200


@asynccontextmanager
async def running_provider(redirect_uri: str) -> AsyncIterator[ProviderProcess]:
    """Run a provider for the length of the block."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", __name__, redirect_uri, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        yield ProviderProcess(json.loads(await process.stdout.readline())["issuer"])
    finally:
        process.terminate()
        await process.communicate()


async def _main(redirect_uri: str) -> None:
    provider = _Provider(redirect_uri)
    runner = web.AppRunner(provider.app())
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    provider.issuer = f"http://127.0.0.1:{runner.addresses[0][1]}"
    sys.stdout.write(json.dumps({"issuer": provider.issuer}) + "\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1]))
