"""The relays that nodes are told of: from URLs, files, the configuration and this server itself.

What comes later in this order takes the place of what came before, region by region, as in
Headscale. Every URL and file counts as it was when it could last be read.
"""

from __future__ import annotations

import asyncio
import json
import math
import random
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import aiohttp
import structlog
import yaml

from control.errors import ControlError, InvalidRequestError
from control.wire import DerpMap, DerpNode, DerpRegion, WireError, read_derp_map

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from pathlib import Path

    from control.config import Derp

    Regions = Mapping[int, DerpRegion | None]

__all__ = ["DerpSources"]

_TIMEOUT: Final = aiohttp.ClientTimeout(total=10.0)
_MAX_BODY: Final = 1 << 20
_RETRY_S: Final = 60.0
"""How soon what failed is tried again, where updates are rarer."""
_log = structlog.get_logger("control.derp")


class _SourceError(ControlError):
    """A source that cannot be read; the text says which, why, and what to do."""


class DerpSources:
    """Reads the sources and joins them; `run` keeps the map up to date."""

    def __init__(self, derp: Derp, embedded: DerpRegion | None = None) -> None:
        """`embedded` is the region of the relay inside this server."""
        self._derp = derp
        self._embedded = embedded
        self._files: dict[Path, Regions] = {}
        self._fetched: dict[str, Regions] = {}
        self._failed: set[str] = set()

    def read_files(self) -> None:
        """Read the files; raises InvalidRequestError for one that only its owner can mend."""
        for path in self._derp.paths:
            try:
                self._files[path] = _read_file(path)
            except _SourceError as error:
                raise InvalidRequestError(f"derp.paths: {error}") from None

    async def start(self) -> DerpMap:
        """Read everything and return the map; raises as `read_files` does.

        A URL that fails is logged and tried again by `run`: relays are no reason to serve nobody.
        """
        await asyncio.to_thread(self.read_files)
        await self._fetch(self._derp.urls)
        return self.joined()

    def joined(self) -> DerpMap:
        """Return the relays as they are known now; the vendor's are left out."""
        regions: dict[int, DerpRegion | None] = {}
        for url in self._derp.urls:
            regions |= self._fetched.get(url, {})
        for path in self._derp.paths:
            regions |= self._files.get(path, {})
        regions |= _configured(self._derp)
        if self._embedded is not None:
            regions[self._embedded.region_id] = self._embedded
        known = {n: region for n, region in sorted(regions.items()) if region is not None}
        return DerpMap(regions=known, omit_default_regions=True)

    async def refresh(self) -> None:
        """Read everything again; what cannot be read stays as it was and is logged."""
        for path in self._derp.paths:
            try:
                self._files[path] = await asyncio.to_thread(_read_file, path)
            except _SourceError as error:
                _log.error("derp.paths: file not read again; its relays stay", reason=str(error))
        await self._fetch(self._derp.urls)

    async def run(self, tell: Callable[[DerpMap], None]) -> None:
        """Call `tell` with each other map; ends where nothing is to be read again."""
        loop, told = asyncio.get_running_loop(), self.joined()
        every_s = self._derp.update_frequency.total_seconds()
        is_updated = self._derp.auto_update_enabled and bool(self._derp.urls or self._derp.paths)
        due_at = loop.time() + every_s if is_updated else math.inf
        # One that never answered is asked until it does.
        while is_updated or self._failed:
            wait_s = min(due_at - loop.time(), _RETRY_S if self._failed else math.inf)
            # Servers that were started together need not ask together.
            await asyncio.sleep(wait_s * (1 + random.random() / 10))  # noqa: S311  no secret
            if loop.time() >= due_at:
                due_at = loop.time() + every_s
                await self.refresh()
            else:
                await self._fetch(sorted(self._failed))
            if (joined := self.joined()) != told:
                told = joined
                _log.info("other relays", regions=len(told.regions or ()))
                tell(told)

    async def _fetch(self, urls: Collection[str]) -> None:
        if not urls:
            return
        async with aiohttp.ClientSession(timeout=_TIMEOUT) as session:
            await asyncio.gather(*(self._fetch_one(session, url) for url in urls))

    async def _fetch_one(self, session: aiohttp.ClientSession, url: str) -> None:
        try:
            self._fetched[url] = await _fetched(session, url)
            self._failed.discard(url)
        except _SourceError as error:
            self._failed.add(url)
            held = "its relays stay" if url in self._fetched else "none of its relays is known yet"
            _log.error(f"derp.urls: no answer to use; {held}", reason=str(error))


async def _fetched(session: aiohttp.ClientSession, url: str) -> Regions:
    try:
        async with session.get(url) as answer:
            if answer.status != 200:
                raise _SourceError(f"{_shown(url)} answered {answer.status}; open it in a browser")
            body = await answer.content.read(_MAX_BODY + 1)
            while not answer.content.at_eof() and len(body) <= _MAX_BODY:
                body += await answer.content.read(_MAX_BODY + 1)
    except (aiohttp.ClientError, OSError, ValueError) as error:
        reason = str(error) or type(error).__name__
        raise _SourceError(f"{_shown(url)}: {reason}; can this machine reach it?") from None
    if len(body) > _MAX_BODY:
        raise _SourceError(f"{_shown(url)}: more than {_MAX_BODY} bytes; is it a DERP map?")
    try:
        regions = _regions(json.loads(body))
    except (ValueError, RecursionError) as error:
        raise _SourceError(f"{_shown(url)}: no DERP map in JSON: {error}") from None
    if not any(regions.values()):
        raise _SourceError(f"{_shown(url)}: a map without relays; is it the right URL?")
    return regions


def _read_file(path: Path) -> Regions:
    try:
        return _regions(yaml.safe_load(path.read_text("utf-8")))
    except OSError as error:
        raise _SourceError(f"{path}: {error.strerror}; put the file there or drop it") from None
    except (yaml.YAMLError, UnicodeDecodeError, WireError, RecursionError) as error:
        raise _SourceError(f"{path}: no DERP map in YAML: {error}; correct the file") from None


def _regions(value: Any) -> Regions:
    return read_derp_map(value).regions or {}


def _shown(url: str) -> str:
    """Return a URL without what may be secret in it."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _configured(derp: Derp) -> dict[int, DerpRegion | None]:
    return {
        region.id: DerpRegion(
            region_id=region.id,
            region_code=region.code,
            region_name=region.name or region.code,
            nodes=tuple(
                DerpNode(
                    name=node.name,
                    region_id=region.id,
                    host_name=node.host_name,
                    ipv4=node.ipv4,
                    ipv6=node.ipv6,
                    stun_port=node.stun_port,
                    derp_port=node.derp_port,
                    cert_name=node.cert_name,
                    insecure_for_tests=node.insecure_for_tests,
                )
                for node in region.nodes
            ),
        )
        for region in derp.regions
    }
