"""SSH check mode: a session is held until somebody lets it in (control reference 5.4)."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest

from control.cli import main
from control.store import queries
from tests.support.control_server import Control, TestNode
from tests.support.raw_channel import RawChannel, raw_channel

POLICY: dict[str, Any] = {
    "tagOwners": {"tag:shop": []},
    "acls": [{"action": "accept", "src": ["*"], "dst": ["*:*"]}],
    "ssh": [
        {
            "action": "check",
            "src": ["ann@example.com"],
            "dst": ["tag:shop"],
            "users": ["deploy", "root"],
        },
        {
            "action": "accept",
            "src": ["ann@example.com"],
            "dst": ["tag:shop"],
            "users": ["guest"],
        },
    ],
}


@dataclass(slots=True)
class Scene:
    """Ann's laptop is node 1, the shop node 2."""

    control: Control
    laptop: TestNode
    shop: TestNode

    async def set_policy(self, **changes: Any) -> None:
        """Put a policy in force and wait until it is compiled."""
        ssh = [{**rule, **changes} if rule["action"] == "check" else rule for rule in POLICY["ssh"]]
        await self.control.server.keeper.set(json.dumps({**POLICY, "ssh": ssh}), "test")
        await self.control.server.atlas.refresh()


@pytest.fixture
async def scene(control: Control) -> Scene:
    made = Scene(control, TestNode("laptop"), TestNode("shop"))
    user = await control.add_user()
    for node, key in (
        (made.laptop, await control.add_auth_key(user)),
        (made.shop, await control.add_auth_key(tags=("tag:shop",))),
    ):
        async with node.connected(control) as client:
            await node.join(client, key)
    await made.set_policy()
    return made


async def action(raw: RawChannel, path: str) -> Any:
    answer = await raw.ask("GET", path)
    assert answer.status == 200
    return json.loads(answer.body)


def delegated(told: dict[str, Any]) -> tuple[str, str]:
    """Return where to ask next and the ID in it."""
    parts = urlsplit(told["holdAndDelegate"])
    path = f"{parts.path}?{parts.query}"
    auth_id = path.rpartition("auth_id=")[2]
    assert auth_id in told["message"]
    return path, auth_id


FIRST = "/machine/ssh/action/1/to/2?local_user=deploy"


async def run(control: Control, *arguments: str) -> int:
    socket = str(control.server.config.unix_socket)
    return await asyncio.to_thread(main, [*arguments, "--socket", socket])


async def test_session_is_held_until_it_is_approved_and_then_remembered(scene: Scene) -> None:
    async with raw_channel(scene.control, scene.shop) as raw:
        path, auth_id = delegated(await action(raw, FIRST))
        _, held = await raw.begin("GET", path)
        assert not held.ended.is_set()
        assert await run(scene.control, "auth", "approve", "--auth-id", auth_id) == 0
        async with asyncio.timeout(30):
            await held.ended.wait()
        assert json.loads(held.body)["accept"] is True
        assert (await action(raw, FIRST))["accept"] is True
        assert await run(scene.control, "auth", "approve", "--auth-id", auth_id) == 1
    async with scene.control.server.database.reading() as connection:
        newest = (await queries.audit_entries(connection, most=1))[0]
    assert (newest.action, newest.details["account"]) == ("ssh-check.approve", "deploy")


async def test_rejected_session_is_told_so(scene: Scene) -> None:
    async with raw_channel(scene.control, scene.shop) as raw:
        path, auth_id = delegated(await action(raw, FIRST))
        _, held = await raw.begin("GET", path)
        assert await run(scene.control, "auth", "reject", "--auth-id", auth_id) == 0
        async with asyncio.timeout(30):
            await held.ended.wait()
        assert json.loads(held.body)["reject"] is True
        assert "holdAndDelegate" in await action(raw, FIRST)


async def test_period_of_always_is_never_remembered(scene: Scene) -> None:
    await scene.set_policy(checkPeriod="always")
    async with raw_channel(scene.control, scene.shop) as raw:
        path, auth_id = delegated(await action(raw, FIRST))
        await scene.control.server.ssh_checks.decide(auth_id, "test", is_approved=True)
        assert (await action(raw, path))["accept"] is True
        assert "holdAndDelegate" in await action(raw, FIRST)


async def test_policy_decides_again_after_the_approval(scene: Scene) -> None:
    async with raw_channel(scene.control, scene.shop) as raw:
        path, auth_id = delegated(await action(raw, FIRST))
        _, held = await raw.begin("GET", path)
        await scene.set_policy(users=["other"])
        await scene.control.server.ssh_checks.decide(auth_id, "test", is_approved=True)
        async with asyncio.timeout(30):
            await held.ended.wait()
        assert json.loads(held.body)["reject"] is True


async def test_accounts_without_a_check_are_decided_at_once(scene: Scene) -> None:
    base = "/machine/ssh/action/1/to/2?local_user="
    async with raw_channel(scene.control, scene.shop) as raw:
        assert (await action(raw, f"{base}guest"))["accept"] is True
        assert (await action(raw, f"{base}nobody"))["reject"] is True


async def test_id_of_another_session_opens_nothing(scene: Scene) -> None:
    async with raw_channel(scene.control, scene.shop) as raw:
        path, auth_id = delegated(await action(raw, FIRST))
        other = path.replace("local_user=deploy", "local_user=root")
        told = await action(raw, other)
        assert delegated(told)[1] != auth_id
        told = await action(raw, f"{FIRST}&auth_id=hskey-authreq-{'0' * 24}")
        assert "holdAndDelegate" in told


async def test_only_the_destination_may_ask(scene: Scene) -> None:
    for node in (scene.laptop, TestNode()):
        async with raw_channel(scene.control, node) as raw:
            assert (await raw.ask("GET", FIRST)).status == 404
    async with raw_channel(scene.control, scene.shop) as raw:
        for path in ("/machine/ssh/action/9/to/2?local_user=x", FIRST.partition("?")[0]):
            assert (await raw.ask("GET", path)).status == 404


async def test_client_that_gives_up_leaves_the_session_waiting(scene: Scene) -> None:
    async with raw_channel(scene.control, scene.shop) as raw:
        path, auth_id = delegated(await action(raw, FIRST))
        stream, _ = await raw.begin("GET", path)
        await raw.give_up(stream)
        await scene.control.server.ssh_checks.decide(auth_id, "test", is_approved=True)
        assert (await action(raw, path))["accept"] is True


async def test_page_shows_the_command(scene: Scene) -> None:
    async with raw_channel(scene.control, scene.shop) as raw:
        _, auth_id = delegated(await action(raw, FIRST))
    async with aiohttp.ClientSession(f"{scene.control.url}") as session:
        async with session.get(f"/auth/{auth_id}") as answer:
            text = await answer.text()
            assert (answer.status, answer.headers["X-Frame-Options"]) == (200, "DENY")
        async with session.get("/auth/hskey-authreq-x") as answer:
            assert answer.status == 404
    assert f"auth approve --auth-id {auth_id}" in text


async def test_node_cannot_be_approved_like_a_session(scene: Scene) -> None:
    node = TestNode()
    async with node.connected(scene.control) as client:
        url = (await client.register(node.login().request)).auth_url
    assert await run(scene.control, "auth", "approve", "--auth-id", url.rpartition("/")[2]) == 1
