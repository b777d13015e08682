"""Admission by URL, against a small HTTP server on loopback."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from ipaddress import IPv4Address
from typing import TYPE_CHECKING

import pytest
from aiohttp import web

from relay.admission import NoVerdictError
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
        (500, '{"Allow":true}', True, True),
        (200, "sorry", True, True),
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


@pytest.mark.parametrize(("status", "body"), [(500, '{"Allow":true}'), (200, "sorry")])
async def test_what_is_no_answer_is_no_verdict(status: int, body: str) -> None:
    async with verifier(status, body, []) as url:
        admission = AdmitByUrl(url)
        with pytest.raises(NoVerdictError, match=f"answered {status}"):
            await admission.admits(ASKED)
        await admission.close()


async def test_nobody_there_is_no_verdict() -> None:
    async with verifier(200, "{}", []) as url:
        gone = url
    admission = AdmitByUrl(gone)
    with pytest.raises(NoVerdictError, match="asking http"):
        await admission.admits(ASKED)
    await admission.close()


@pytest.mark.parametrize(("body", "good_for"), [('{"Allow":true}', 60), ('{"Allow":false}', 5)])
async def test_client_that_comes_again_is_not_asked_about_at_once(body: str, good_for: int) -> None:
    seen: list[str] = []
    clock = 100.0
    async with verifier(200, body, seen) as url:
        admission = AdmitByUrl(url, now=lambda: clock)
        try:
            first = await admission.admits(ASKED)
            clock += good_for - 1
            assert await admission.admits(ASKED) is first
            assert len(seen) == 1
            clock += 2
            assert await admission.admits(ASKED) is first
            assert len(seen) == 2
        finally:
            await admission.close()
