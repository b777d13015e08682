"""The relay inside the control server: for members only, on the server's own port."""

from __future__ import annotations

import asyncio
import os
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from control.config import ControlConfig
from control.embedded_relay import region_of
from control.errors import InvalidRequestError
from control.keys import NodePrivate
from control.operations.nodes import delete_node
from control.wire import DerpNode
from node.session.driver import ControlClient, ControlUrl, fetch_server_key
from relay.dial import DialError, RelayAddress, dial
from relay.session_client import Disconnected
from tests.e2e.control.test_tls import bytes_of, secured
from tests.support.control_server import TestNode, control_config, running_control
from tests.support.live_relay import Inbox

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.support.control_server import Control


def with_relay(directory: Path, tls: Any, **server: Any) -> ControlConfig:
    return control_config(
        directory,
        server_url="https://127.0.0.1:8443",
        metrics_listen_addr="127.0.0.1:0",
        tls=tls,
        derp={
            "server": {
                "enabled": True,
                "private_key_path": str(directory / "derp.key"),
                "stun_listen_addr": "127.0.0.1:0",
                **server,
            }
        },
    )


@asynccontextmanager
async def relaying(directory: Path) -> AsyncIterator[tuple[Control, ssl.SSLContext]]:
    config, tls = await asyncio.to_thread(secured, directory)
    async with running_control(with_relay(directory, config.tls)) as control:
        yield control, tls


async def member(control: Control, tls: ssl.SSLContext, name: str) -> TestNode:
    url = ControlUrl("https", "127.0.0.1", control.server.port)
    node = TestNode(hostname=name)
    server = await fetch_server_key(url, tls=tls)
    async with ControlClient.connect(
        url, machine=node.machine, server=server, entropy=bytes_of, tls=tls
    ) as client:
        await node.join(client, await control.add_auth_key(tags=("tag:x",)))
    return node


async def connect(control: Control, tls: ssl.SSLContext, key: NodePrivate) -> Inbox:
    inbox = Inbox(private=key)
    address = RelayAddress("127.0.0.1", control.server.port, tls=tls)
    inbox.client = await dial(address, key, inbox.events.put_nowait, None)
    return inbox


async def test_members_reach_each_other_through_it(tmp_path: Path) -> None:
    async with relaying(tmp_path) as (control, tls):
        nodes = [await member(control, tls, name) for name in ("alpha", "beta")]
        alpha, beta = [await connect(control, tls, node.key) for node in nodes]
        alpha.live.send_packet(beta.key, b"sealed")
        packet = await beta.packet()
        assert (packet.source, bytes(packet.packet)) == (alpha.key, b"sealed")
        alpha.live.close()
        beta.live.close()


async def test_its_clients_are_counted_like_everybody(tmp_path: Path) -> None:
    async with relaying(tmp_path) as (control, tls):
        node, door = await member(control, tls, "alpha"), control.server.listener.door
        alpha = await connect(control, tls, node.key)
        async with asyncio.timeout(60):
            while (len(door), door.unproven) != (1, 0):  # noqa: ASYNC110  nothing to wait on
                await asyncio.sleep(0.01)
            alpha.live.close()
            while len(door):  # noqa: ASYNC110
                await asyncio.sleep(0.01)


async def test_strangers_are_refused(tmp_path: Path) -> None:
    async with relaying(tmp_path) as (control, tls):
        with pytest.raises(DialError):
            await connect(control, tls, NodePrivate.generate(os.urandom))


async def test_node_that_is_removed_is_cut_off(tmp_path: Path) -> None:
    async with relaying(tmp_path) as (control, tls):
        node = await member(control, tls, "alpha")
        inbox = await connect(control, tls, node.key)
        record = control.server.ledger.tailnet.node_by_key(node.key.public)
        assert record is not None
        await delete_node(control.server.ledger, control.server.registrar, "test", record.id)
        await inbox.wait_for(Disconnected)
        with pytest.raises(DialError):
            await connect(control, tls, node.key)


async def test_other_requests_are_served_on_the_same_port(tmp_path: Path) -> None:
    async with relaying(tmp_path) as (control, tls):
        base = f"https://127.0.0.1:{control.server.port}"
        for path, status in (("/key?v=113", 200), ("/derp/probe", 200), ("/derp", 426)):
            # Each on a connection of its own: only the first request of one can be an upgrade.
            async with (
                aiohttp.ClientSession() as session,
                session.get(base + path, ssl=tls) as answer,
            ):
                assert answer.status == status, path


def test_region_names_the_servers_own_address(tmp_path: Path) -> None:
    region = region_of(with_relay(tmp_path, {}, stun_listen_addr="0.0.0.0:3479"))
    assert region is not None
    assert region.nodes == (
        DerpNode(name="999a", region_id=999, host_name="127.0.0.1", stun_port=3479, derp_port=8443),
    )


def test_no_stun_is_said_so(tmp_path: Path) -> None:
    region = region_of(with_relay(tmp_path, {}, stun_listen_addr=""))
    assert region is not None
    assert region.nodes is not None
    assert region.nodes[0].stun_port == -1


def test_there_is_no_region_without_it(tmp_path: Path) -> None:
    assert region_of(control_config(tmp_path)) is None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"server_url": "http://127.0.0.1"}, "https"),
        ({"derp": {"server": {"stun_listen_addr": "here"}}}, "0.0.0.0:3478"),
        (
            {
                "server_url": "https://control.example",
                "derp": {
                    "regions": [{"id": 999, "code": "x", "nodes": []}],
                    "server": {"enabled": True},
                },
            },
            "999 stands twice",
        ),
    ],
)
def test_settings_that_cannot_work_are_refused(change: dict[str, Any], said: str) -> None:
    values = {"derp": {"server": {"enabled": True}}, **change}
    with pytest.raises(ValueError, match=said):
        ControlConfig(**values)


async def test_unreadable_key_is_named(tmp_path: Path) -> None:
    (tmp_path / "derp.key").write_text("nonsense")
    with pytest.raises(InvalidRequestError, match=r"derp\.server\.private_key_path"):
        async with running_control(with_relay(tmp_path, {})):
            pass
