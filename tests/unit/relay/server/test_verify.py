"""Admission by URL, against a small HTTP server on loopback."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from ipaddress import IPv4Address
from typing import TYPE_CHECKING

import pytest
from aiohttp import web

from relay.handshake import ClientInfo
from relay.server.verify import AdmitByUrl
from relay.session_server import AdmissionAsked

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

ASKED = AdmissionAsked(b"\x07" * 32, IPv4Address("192.0.2.9"), ClientInfo())


@asynccontextmanager
async def verifier(status: int, body: str, seen: list[str]) -> AsyncIterator[str]:
    """Serve one answer on any path; notes what was asked."""

    async def answer(request: web.Request) -> web.Response:
        seen.append(await request.text())
        return web.Response(status=status, text=body)

    application = web.Application()
    application.router.add_post("/verify", answer)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/verify"
    finally:
        await runner.cleanup()


@pytest.mark.parametrize(
    ("status", "body", "fail_open", "expected"),
    [
        (200, '{"Allow":true}', False, True),
        (200, '{"Allow":false}', True, False),
        (500, '{"Allow":true}', False, False),
        (500, '{"Allow":true}', True, True),
        (200, "sorry", False, False),
    ],
)
async def test_verdict_of_the_url(status: int, body: str, fail_open: bool, expected: bool) -> None:
    seen: list[str] = []
    async with verifier(status, body, seen) as url:
        admission = AdmitByUrl(url, fail_open=fail_open)
        try:
            assert await admission.admits(ASKED) is expected
        finally:
            await admission.close()
    assert json.loads(seen[0])["NodePublic"] == "nodekey:" + "07" * 32


async def test_nobody_there_is_a_no() -> None:
    async with verifier(200, "{}", []) as url:
        gone = url
    admission = AdmitByUrl(gone)
    assert not await admission.admits(ASKED)
    await admission.close()
