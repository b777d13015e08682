"""Admission by asking a URL, as operators of the field's relay set it up."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import aiohttp

from relay.admission import MAX_VERDICT_BYTES, encode_question, parse_verdict

if TYPE_CHECKING:
    from relay.session_server import AdmissionAsked

__all__ = ["AdmitByUrl"]

log = logging.getLogger("relay")

TIMEOUT_S = 5.0


class AdmitByUrl:
    """Posts each client's key to a URL; only a plain yes admits, unless told to fail open."""

    def __init__(self, url: str, *, fail_open: bool = False) -> None:
        self._url = url
        self._fail_open = fail_open
        self._http: aiohttp.ClientSession | None = None

    async def admits(self, asked: AdmissionAsked) -> bool:
        """Return the URL's verdict; without one, whether we fail open."""
        verdict = await self._ask(asked)
        if verdict is None:
            log.warning("no verdict from %s; client %s", self._url, self._fallback_text())
            return self._fail_open
        return verdict

    def _fallback_text(self) -> str:
        return "admitted (fail open)" if self._fail_open else "refused"

    async def _ask(self, asked: AdmissionAsked) -> bool | None:
        if self._http is None:
            timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
            self._http = aiohttp.ClientSession(timeout=timeout)
        try:
            async with self._http.post(
                self._url,
                data=encode_question(asked),
                headers={"Content-Type": "application/json"},
                allow_redirects=False,
            ) as response:
                body = await response.content.read(MAX_VERDICT_BYTES + 1)
                return parse_verdict(response.status, body)
        except (aiohttp.ClientError, TimeoutError) as error:
            log.warning("asking %s failed: %s", self._url, error)
            return None

    async def close(self) -> None:
        """Give connections back."""
        if self._http is not None:
            await self._http.close()
            self._http = None
