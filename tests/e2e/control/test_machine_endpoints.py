"""What nodes ask besides registration and maps (control reference 5.1), and the WebSocket."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import aiohttp
import pytest

from control.store import queries
from tests.support.control_server import Control, TestNode
from tests.support.raw_channel import raw_channel, raw_websocket


@pytest.fixture
async def node(control: Control) -> TestNode:
    made = TestNode("alpha")
    async with made.connected(control) as client:
        await made.join(client, await control.add_auth_key(await control.add_user()))
    return made


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/machine/set-dns", 501),
        ("POST", "/machine/id-token", 501),
        ("PATCH", "/machine/set-device-attr", 501),
        ("GET", "/machine/tka/init/begin", 501),
        ("GET", "/machine/tka/sync/offer", 501),
        ("POST", "/machine/webclient/init/1/to/2", 501),
        ("POST", "/machine/update-health", 204),
        ("GET", "/machine/whoami", 200),
        ("POST", "/c2n/0123456789abcdef", 404),
        ("POST", "/machine/nothing", 404),
        ("GET", "/machine/register", 404),
        ("GET", "/", 404),
        ("GET", "/machine/ssh/action/1/to/x", 404),
        ("GET", "/machine/ssh/action/1/to/2", 404),
        ("POST", "/machine/feature/query", 200),
    ],
)
async def test_endpoint_answers_as_the_reference_says(
    control: Control, node: TestNode, method: str, path: str, status: int
) -> None:
    body = None if method == "GET" else {"NodeKey": node.key.public.to_text()}
    async with raw_channel(control, node) as raw:
        answer = await raw.ask(method, path, body)
    assert answer.status == status
    assert answer.headers["x-request-id"]
    assert len(answer.body) <= 200


async def test_refusals_are_sentences(control: Control, node: TestNode) -> None:
    async with raw_channel(control, node) as raw:
        assert (await raw.ask("POST", "/machine/set-dns", {})).body == b"Not implemented yet"
        told = json.loads(
            (
                await raw.ask(
                    "POST", "/machine/feature/query", {"NodeKey": node.key.public.to_text()}
                )
            ).body
        )
    assert told["Complete"]
    assert "does not offer" in told["Text"]


async def test_reason_for_a_disconnect_is_kept(control: Control, node: TestNode) -> None:
    entry = {"NodeKey": node.key.public.to_text(), "Action": "DISCONNECT_NODE", "Details": "lunch"}
    async with raw_channel(control, node) as raw:
        assert (await raw.ask("POST", "/machine/audit-log", entry)).status == 200
    async with raw_channel(control, TestNode()) as raw:
        assert (await raw.ask("POST", "/machine/audit-log", entry)).status == 404
    async with control.server.database.reading() as connection:
        newest = (await queries.audit_entries(connection, most=1))[0]
    assert (newest.action, newest.details) == ("client.DISCONNECT_NODE", {"details": "lunch"})


@pytest.mark.parametrize("piece", [1, 7, 1 << 20])
async def test_websocket_carries_the_same(control: Control, node: TestNode, piece: int) -> None:
    async with raw_websocket(control, node, piece=piece) as raw:
        whoami = await raw.ask("GET", "/machine/whoami")
        request: dict[str, Any] = dict(node.request(stream=False, compress="").to_json())
        whole = await raw.ask("POST", "/machine/map", request)
    assert json.loads(whoami.body)["MachineKey"] == node.machine.public.to_text()
    assert json.loads(whole.body[4:])["Node"]["Name"] == "alpha.tail.example."


async def test_websockets_are_counted_and_sent_away_at_the_end(
    control: Control, node: TestNode
) -> None:
    async with raw_websocket(control, node) as raw:
        await raw.established.wait()
        assert control.server.ts2021.connection_count == 1
        _, answer = await raw.begin("POST", "/machine/map", dict(node.request().to_json()))
        control.server.ts2021.abandon()
        async with asyncio.timeout(60):
            await answer.ended.wait()
        assert answer.failed


@pytest.mark.parametrize(
    ("query", "protocols", "reason"),
    [
        ("", ("tailscale-control-protocol",), b"invalid handshake"),
        ("?X-Tailscale-Handshake=AAAA", ("tailscale-control-protocol",), b"invalid handshake"),
        ("?X-Tailscale-Handshake=AAAA", (), b"client must speak the control subprotocol"),
        ("?X-Tailscale-Handshake=AAAA", ("other",), b"client must speak the control subprotocol"),
    ],
)
async def test_websocket_without_a_handshake_is_closed(
    control: Control, query: str, protocols: tuple[str, ...], reason: bytes
) -> None:
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(f"{control.url}/ts2021{query}", protocols=protocols) as socket,
    ):
        message = await socket.receive(timeout=20)
    assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, 1008)
    assert (message.extra or "").encode() == reason


async def test_get_without_an_upgrade_is_refused(control: Control) -> None:
    async with (
        aiohttp.ClientSession(f"{control.url}") as session,
        session.get("/ts2021") as answer,
    ):
        assert answer.status == 400
