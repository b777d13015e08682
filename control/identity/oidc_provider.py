"""Client of an OpenID Connect provider: discovery, the code flow with PKCE, and its keys.

OpenID Connect Core 3.1, Discovery 4, RFC 7636.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import quote, urlencode, urlsplit

import aiohttp
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from control.errors import ControlError
from control.identity.id_token import UnknownKeyError, verify_id_token

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from control.identity.oidc_settings import Oidc

__all__ = ["OidcProvider", "ProviderError"]

_TIMEOUT: Final = aiohttp.ClientTimeout(total=10.0)
_MAX_BODY: Final = 256 * 1024


class ProviderError(ControlError):
    """The provider does not answer, or not as the standards say; the text is for the log."""


class _Metadata(NamedTuple):
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str


class OidcProvider:
    """One provider. What it publishes is fetched when first needed, keys again when they change."""

    def __init__(self, settings: Oidc, redirect_uri: str, clock: Callable[[], datetime]) -> None:
        self._settings = settings
        self._secret = settings.secret()
        self._redirect_uri = redirect_uri
        self._clock = clock
        self._metadata: _Metadata | None = None
        self._keys: KeySet | None = None
        self._turn = asyncio.Lock()

    async def authorization_url(self, *, state: str, nonce: str, verifier: str) -> str:
        """Return where to send a browser; raises ProviderError."""
        endpoint = (await self._discover()).authorization_endpoint
        digest = hashlib.sha256(verifier.encode("ascii")).digest()
        parameters = {
            **self._settings.extra_params,
            "response_type": "code",
            "client_id": self._settings.client_id,
            "redirect_uri": self._redirect_uri,
            "scope": " ".join(self._settings.scope),
            "state": state,
            "nonce": nonce,
            "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
            "code_challenge_method": "S256",
        }
        separator = "&" if urlsplit(endpoint).query else "?"
        return f"{endpoint}{separator}{urlencode(parameters)}"

    async def claims_of(self, code: str, *, nonce: str, verifier: str) -> Mapping[str, Any]:
        """Exchange a code and return the verified claims; raises ProviderError, IdTokenError."""
        answer = await self._exchange(code, verifier)
        token = answer.get("id_token")
        if not isinstance(token, str):
            raise ProviderError("the provider's token endpoint gave no ID token")
        try:
            return self._verified(token, await self._known_keys(), nonce)
        except UnknownKeyError:
            # Only the provider can have given the token: its keys have changed since.
            self._keys = None
            return self._verified(token, await self._known_keys(), nonce)

    def _verified(self, token: str, keys: KeySet, nonce: str) -> Mapping[str, Any]:
        return verify_id_token(
            token,
            keys,
            issuer=self._settings.issuer,
            client_id=self._settings.client_id,
            nonce=nonce,
            now=self._clock(),
        )

    async def _discover(self) -> _Metadata:
        async with self._turn:
            if self._metadata is None:
                url = f"{self._settings.issuer.rstrip('/')}/.well-known/openid-configuration"
                self._metadata = self._read_metadata(await _fetch("GET", url))
            return self._metadata

    def _read_metadata(self, found: Mapping[str, Any]) -> _Metadata:
        if found.get("issuer") != self._settings.issuer:
            raise ProviderError(
                f"the provider calls itself {found.get('issuer')!r}: oidc.issuer must say the same"
            )
        urls = [found.get(name) for name in _Metadata._fields]
        scheme = urlsplit(self._settings.issuer).scheme
        for name, url in zip(_Metadata._fields, urls, strict=True):
            if not isinstance(url, str) or urlsplit(url).scheme not in {scheme, "https"}:
                raise ProviderError(f"the provider's {name} is no URL to trust")
        return _Metadata(*map(str, urls))

    async def _known_keys(self) -> KeySet:
        metadata = await self._discover()
        if self._keys is None:
            found = await _fetch("GET", metadata.jwks_uri)
            keys = found.get("keys")
            # Keys of kinds that nobody here knows must not hide the others.
            signing = [key for key in keys or () if isinstance(key, dict) and _may_sign(key)]
            try:
                self._keys = KeySet.import_key_set({"keys": signing})
            except (JoseError, ValueError, TypeError) as error:
                raise ProviderError(f"the provider's keys cannot be read: {error}") from None
        return self._keys

    async def _exchange(self, code: str, verifier: str) -> Mapping[str, Any]:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._redirect_uri,
            "code_verifier": verifier,
        }
        headers = {}
        if self._secret:
            # RFC 6749, 2.3.1: both parts are encoded before they are joined.
            pair = f"{quote(self._settings.client_id, '')}:{quote(self._secret, '')}"
            headers["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
        else:
            form["client_id"] = self._settings.client_id
        url = (await self._discover()).token_endpoint
        return await _fetch("POST", url, data=form, headers=headers)


def _may_sign(key: Mapping[str, Any]) -> bool:
    return key.get("kty") in {"RSA", "EC"} and key.get("use", "sig") == "sig"


async def _fetch(method: str, url: str, **arguments: Any) -> Mapping[str, Any]:
    """Return the JSON object that a URL answers with; raises ProviderError."""
    path = url.partition("?")[0]
    try:
        async with (
            aiohttp.ClientSession(timeout=_TIMEOUT) as session,
            session.request(method, url, allow_redirects=False, **arguments) as answer,
        ):
            body = await _read(answer, path)
            if answer.status != 200:
                raise ProviderError(f"{path} answered {answer.status}")
            found = json.loads(body)
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise ProviderError(
            f"{path} cannot be asked: {str(error) or type(error).__name__}"
        ) from None
    except (ValueError, RecursionError):
        raise ProviderError(f"{path} answered with something else than JSON") from None
    if not isinstance(found, dict):
        raise ProviderError(f"{path} answered with something else than an object")
    return found


async def _read(answer: aiohttp.ClientResponse, path: str) -> bytes:
    body = bytearray()
    async for piece in answer.content.iter_any():
        body += piece
        if len(body) > _MAX_BODY:
            raise ProviderError(f"{path} answered with more than {_MAX_BODY} bytes")
    return bytes(body)
