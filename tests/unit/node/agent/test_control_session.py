"""The session against a real control server on loopback."""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from control.wire import Hostinfo
from node.agent.control_session import ControlSession, SessionState
from node.session.driver import ControlLostError
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
        self.urls: asyncio.Queue[str] = asyncio.Queue()

    def on_session(self, state: SessionState, text: str) -> None:
        self.states.append((state, text))
        if text.startswith("http"):
            self.urls.put_nowait(text)

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


async def first_login(control: Control, key: str) -> tuple[ControlSession, NetMap]:
    """Log in and leave again."""
    owner = Owner()
    made = session(control, owner, key)
    running = asyncio.create_task(made.run())
    try:
        held = await owner.netmap()
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    return made, held


def again(made: ControlSession, owner: Owner, auth_key: str = "") -> ControlSession:
    return replace(made, owner=owner, auth_key=auth_key, must_log_in=True)


async def test_new_login_rotates_the_node_key_and_keeps_the_node(control: Control) -> None:
    key = await control.add_auth_key(await control.add_user())
    made, before = await first_login(control, key)
    owner = Owner()
    rotated = again(made, owner, key)
    running = asyncio.create_task(rotated.run())
    try:
        after = (await owner.netmap()).self_node
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert after.key == rotated.identity.node.public != before.self_node.key
    assert owner.registered == [rotated.identity.node]
    assert (after.id, after.addresses) == (before.self_node.id, before.self_node.addresses)
    assert after.key_expiry is None or after.key_expiry > datetime.now(UTC)


async def test_new_login_without_a_key_asks_a_person_and_keeps_the_old_one(
    control: Control,
) -> None:
    made, before = await first_login(control, await control.add_auth_key(await control.add_user()))
    owner = Owner()
    asking = again(made, owner)
    running = asyncio.create_task(asking.run())
    try:
        async with asyncio.timeout(20):
            assert await owner.urls.get()
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert owner.registered == []
    assert asking.identity.node.public == before.self_node.key


async def test_session_asks_what_may_be_reached(control: Control) -> None:
    await control.server.keeper.set(
        '{"acls": [{"action": "accept", "src": ["*"], "dst": ["autogroup:member:80"]}]}', "test"
    )
    key = await control.add_auth_key(await control.add_user())
    _, other = await first_login(control, key)
    owner = Owner()
    made = session(control, owner, key)
    with pytest.raises(ControlLostError):
        await made.reach()
    running = asyncio.create_task(made.run())
    try:
        await owner.netmap()
        await control.server.atlas.refresh()
        found = await made.reach()
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert found is not None
    [told] = found.reach
    assert told.node_ids == (other.self_node.id,)
    assert [origin.line for origin in told.rule.origins] == [1]
