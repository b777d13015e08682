"""Admission by asking a URL, as operators of the field's relay set it up."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

import aiohttp

from relay.admission import (
    MAX_VERDICT_BYTES,
    NoVerdictError,
    VerdictCache,
    encode_question,
    parse_verdict,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from relay.session_server import AdmissionAsked

__all__ = ["AdmitByUrl"]

log = logging.getLogger("relay")

TIMEOUT_S = 5.0
# How long a verdict is good for.
YES_S = 60.0
NO_S = 5.0


class AdmitByUrl:
    """Posts each client's key to a URL; only a plain yes admits, unless told to fail open."""

    def __init__(
        self,
        url: str,
        *,
        fail_open: bool = False,
        cache: VerdictCache | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._url = url
        self._fail_open = fail_open
        self._cache = cache or VerdictCache(yes_s=YES_S, no_s=NO_S)
        self._now = now
        self._http: aiohttp.ClientSession | None = None

    async def admits(self, asked: AdmissionAsked) -> bool:
        """Return the URL's verdict, or the one it gave a moment ago; yes while failing open.

        Raises NoVerdictError when it gave none and we do not fail open.
        """
        verdict = self._cache.look_up(asked, self._now())
        if verdict is not None:
            return verdict
        try:
            verdict = await self._ask(asked)
        except NoVerdictError as error:
            if not self._fail_open:
                raise
            log.warning("client admitted (fail open): %s", error)
            return True
        self._cache.note(asked, self._now(), verdict=verdict)
        return verdict

    async def _ask(self, asked: AdmissionAsked) -> bool:
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
                verdict = parse_verdict(response.status, body)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise NoVerdictError(f"asking {self._url}: {str(error) or 'timed out'}") from error
        if verdict is None:
            raise NoVerdictError(f"{self._url} answered {response.status} and no verdict")
        return verdict

    async def close(self) -> None:
        """Give connections back."""
        if self._http is not None:
            await self._http.close()
            self._http = None
