"""Clients that are slow, half open or many are shed, over real sockets."""

from __future__ import annotations

import asyncio
import os
from base64 import b64encode
from typing import TYPE_CHECKING, Any

import pytest

from control.channel import driver
from control.http import listener
from control.noise import Initiator
from node.session.login import Registered
from relay.server import connection
from tests.e2e.control.test_tls import secured
from tests.support.control_server import TestNode, control_config, running_control

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.support.control_server import Control

LIMIT_S = 0.3
PATIENCE_S = 60.0


@pytest.fixture(params=["plain", "relay"])
def derp(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, Any]:
    """Without and with a relay that looks at every connection first."""
    if request.param == "plain":
        return {}
    key = str(tmp_path / "derp.key")
    relay = {"enabled": True, "private_key_path": key, "stun_listen_addr": ""}
    return {"derp": {"server": relay}, "server_url": "https://127.0.0.1:8443"}


@pytest.fixture
async def control(tmp_path: Path, derp: dict[str, Any]) -> AsyncIterator[Control]:
    async with running_control(control_config(tmp_path, **derp)) as running:
        yield running


async def open_to(control: Control) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", control.server.port)


async def ended(reader: asyncio.StreamReader) -> bytes:
    """Read until the server ends the connection; return what it said."""
    async with asyncio.timeout(PATIENCE_S):
        try:
            return await reader.read()
        except ConnectionResetError:
            return b""


async def trickle(writer: asyncio.StreamWriter, data: bytes) -> None:
    """Send a byte now and then, for ever."""
    while True:
        for byte in data:
            writer.write(bytes([byte]))
            await asyncio.sleep(LIMIT_S / 20)


async def is_well(control: Control) -> None:
    """Hold the server to serving others all the same."""
    node = TestNode("honest")
    async with node.connected(control) as client:
        key = await control.add_auth_key(tags=("tag:x",))
        assert isinstance(await node.join(client, key), Registered)


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    for module, name in (
        (listener, "HEAD_S"),
        (listener, "KEEP_ALIVE_S"),
        (listener, "REQUEST_S"),
        (driver, "PROOF_S"),
        (connection, "HEAD_S"),
    ):
        monkeypatch.setattr(module, name, LIMIT_S)


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize(
    "first", [b"", b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"], ids=["at once", "later"]
)
async def test_head_that_trickles_is_not_waited_for(control: Control, first: bytes) -> None:
    reader, writer = await open_to(control)
    writer.write(first)
    trickling = asyncio.create_task(trickle(writer, b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 9))
    said = await ended(reader)
    trickling.cancel()
    writer.close()
    assert said.startswith(b"HTTP/1.1 200") if first else said == b""


@pytest.mark.usefixtures("short")
async def test_body_that_trickles_is_not_waited_for(control: Control) -> None:
    reader, writer = await open_to(control)
    writer.write(b"POST /verify HTTP/1.1\r\nHost: x\r\nContent-Length: 4000\r\n\r\n")
    trickling = asyncio.create_task(trickle(writer, b"{"))
    said = await ended(reader)
    trickling.cancel()
    writer.close()
    assert said.startswith(b"HTTP/1.1 408")


@pytest.mark.usefixtures("short")
async def test_silent_connection_is_closed(control: Control) -> None:
    reader, writer = await open_to(control)
    assert await ended(reader) == b""
    writer.close()


def upgrade(control: Control) -> bytes:
    node = TestNode()
    initiation = Initiator(
        version=113,
        machine=node.machine,
        server=control.server.control_key.public,
        entropy=os.urandom,
    ).initiation
    return (
        b"POST /ts2021 HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nContent-Length: 0\r\n"
        b"Upgrade: tailscale-control-protocol\r\n"
        b"X-Tailscale-Handshake: " + b64encode(initiation) + b"\r\n\r\n"
    )


@pytest.mark.usefixtures("short")
async def test_handshake_without_a_sequel_is_closed(control: Control) -> None:
    reader, writer = await open_to(control)
    writer.write(upgrade(control))
    assert (await ended(reader)).startswith(b"HTTP/1.1 101")
    writer.close()


@pytest.mark.usefixtures("short")
async def test_tls_handshake_has_a_limit(tmp_path: Path, derp: dict[str, Any]) -> None:
    config, _ = await asyncio.to_thread(secured, tmp_path)
    config = control_config(tmp_path, tls=config.tls, **derp)
    async with running_control(config) as control:
        reader, writer = await open_to(control)
        # The first bytes of a record that never comes.
        writer.write(b"\x16\x03\x01")
        assert await ended(reader) == b""
        writer.close()
        async with asyncio.timeout(PATIENCE_S):
            while len(control.server.listener.door):  # noqa: ASYNC110  nothing to wait on
                await asyncio.sleep(0.01)


async def test_handshakes_that_were_begun_are_few(
    control: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    door = control.server.listener.door
    monkeypatch.setattr(door, "_most_unproven", 8)
    opened = [await open_to(control) for _ in range(20)]
    for _, writer in opened[10:]:
        writer.write(upgrade(control))
    # The oldest make room for the newest.
    for reader, _ in opened[:12]:
        await ended(reader)
    assert door.unproven <= 8
    await is_well(control)
    for _, writer in opened:
        writer.close()


async def test_connections_are_bounded(tmp_path: Path, derp: dict[str, Any]) -> None:
    config = control_config(tmp_path, max_connections=8, **derp)
    async with running_control(config) as control:
        opened = [await open_to(control) for _ in range(6)]
        # Four are half of eight; all of these come from one address.
        for reader, _ in opened[4:]:
            assert await ended(reader) == b""
        opened[0][1].close()
        async with asyncio.timeout(PATIENCE_S):
            while len(control.server.listener.door) > 3:  # noqa: ASYNC110  nothing to wait on
                await asyncio.sleep(0.01)
        await is_well(control)
        for _, writer in opened:
            writer.close()


@pytest.mark.parametrize("path", ["/key?v=113", "/ts2021"])
async def test_address_that_connects_too_often_is_told_to_wait(tmp_path: Path, path: str) -> None:
    config = control_config(tmp_path, connect_limit={"burst": 2, "per_second": 0.01})
    request = f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode()
    async with running_control(config) as control:
        heads = []
        for _ in range(3):
            reader, writer = await open_to(control)
            writer.write(request)
            heads.append((await ended(reader)).partition(b"\r\n\r\n")[0])
            writer.close()
    assert [b" 429 " in head for head in heads] == [False, False, True]
    assert b"Retry-After: " in heads[2]


async def test_login_page_is_limited_without_a_provider_too(tmp_path: Path) -> None:
    config = control_config(tmp_path, register_limit={"burst": 1, "per_second": 0.01})
    request = b"GET /register/x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    async with running_control(config) as control:
        statuses = []
        for _ in range(2):
            reader, writer = await open_to(control)
            writer.write(request)
            statuses.append((await ended(reader)).split()[1])
            writer.close()
    assert statuses == [b"404", b"429"]
