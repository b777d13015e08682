"""The session against a real control server on loopback."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

import pytest

from control.wire import Hostinfo
from node.agent.control_session import ControlSession, SessionState
from node.state.identity import Identity
from tests.support.control_server import control_config, running_control

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from control.keys import NodePrivate
    from node.netmap.fold import NetMapChange
    from node.netmap.netmap import NetMap
    from tests.support.control_server import Control


class Owner:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.states: list[tuple[SessionState, str]] = []
        self.registered: list[NodePrivate] = []
        self.netmaps: asyncio.Queue[NetMap] = asyncio.Queue()

    def on_session(self, state: SessionState, text: str) -> None:
        self.states.append((state, text))

    def on_registered(self, node_key: NodePrivate) -> None:
        self.registered.append(node_key)

    def on_netmap(self, netmap: NetMap, change: NetMapChange) -> None:
        del change
        self.netmaps.put_nowait(netmap)

    async def netmap(self) -> NetMap:
        async with asyncio.timeout(20):
            return await self.netmaps.get()


@pytest.fixture
async def control(tmp_path: Path) -> AsyncIterator[Control]:
    async with running_control(control_config(tmp_path)) as running:
        yield running


def session(control: Control, owner: Owner, auth_key: str) -> ControlSession:
    identity = Identity.generate(os.urandom)
    return ControlSession(
        url=control.url,
        identity=identity,
        disco=identity.disco.public,
        owner=owner,
        hostinfo=Hostinfo({"Hostname": "alpha", "OS": "linux"}),
        auth_key=auth_key,
    )


async def test_auth_key_leads_to_a_netmap(control: Control) -> None:
    owner = Owner()
    made = session(control, owner, await control.add_auth_key(await control.add_user()))
    running = asyncio.create_task(made.run())
    try:
        assert (await owner.netmap()).self_node.name == "alpha.tail.example."
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert owner.registered == [made.identity.node]
    assert [state for state, _ in owner.states] == [SessionState.CONNECTING, SessionState.STREAMING]
    assert made.auth_key == ""


async def test_refused_auth_key_ends_the_session_with_the_servers_words(control: Control) -> None:
    owner = Owner()
    async with asyncio.timeout(20):
        await session(control, owner, "hskey-auth-000000000000-" + "0" * 64).run()
    state, text = owner.states[-1]
    assert state is SessionState.NEEDS_LOGIN
    assert text
    assert owner.registered == []


async def test_session_that_was_cut_comes_back(control: Control) -> None:
    owner = Owner()
    made = session(control, owner, await control.add_auth_key(await control.add_user()))
    running = asyncio.create_task(made.run())
    try:
        await owner.netmap()
        made.reconnect()
        assert (await owner.netmap()).self_node.key == made.identity.node.public
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert SessionState.OFFLINE in [state for state, _ in owner.states]


async def test_reported_host_name_reaches_the_server(control: Control) -> None:
    owner = Owner()
    made = session(control, owner, await control.add_auth_key(await control.add_user()))
    running = asyncio.create_task(made.run())
    try:
        await owner.netmap()
        made.report(Hostinfo({"Hostname": "beta", "OS": "linux"}), ())
        while (await owner.netmap()).self_node.name != "beta.tail.example.":
            pass
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
