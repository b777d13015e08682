"""Logins through an identity provider: browser, provider and server are real ones on loopback."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import aiohttp
import pytest

from node.session.login import LoginFailed, Registered
from tests.support.control_server import Control, TestNode, control_config, running_control
from tests.support.oidc_provider import CLIENT_ID, CLIENT_SECRET, ProviderProcess, running_provider
from tests.support.raw_channel import raw_channel

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    Start = Callable[..., AbstractAsyncContextManager["Setting"]]

ANN = {"sub": "1", "email": "Ann@example.com", "email_verified": True, "name": "Ann"}


@dataclass(slots=True)
class Setting:
    """A server and the provider it trusts."""

    control: Control
    provider: ProviderProcess

    async def log_in(self, node: TestNode, browse: Any = None) -> Registered | LoginFailed:
        """Log a node in, with a browser that goes through everything."""
        urls: asyncio.Queue[str] = asyncio.Queue()
        async with node.connected(self.control) as client:
            task = asyncio.create_task(client.log_in(node.login(), urls.put_nowait))
            url = await urls.get()
            try:
                await (browse or confirm)(url)
                async with asyncio.timeout(20):
                    return await task
            finally:
                task.cancel()


def browser() -> aiohttp.ClientSession:
    # Addresses instead of names: a cookie jar takes those of names only, unless told otherwise.
    return aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True))


async def page_of(session: aiohttp.ClientSession, url: str) -> tuple[int, str]:
    async with session.get(url) as answer:
        return answer.status, await answer.text()


async def post_form(session: aiohttp.ClientSession, url: str, text: str) -> tuple[int, str]:
    action = re.search(r'action="([^"]+)"', text)
    token = re.search(r'value="([0-9a-f]{64})"', text)
    assert action
    assert token
    parts = urlsplit(url)
    target = f"{parts.scheme}://{parts.netloc}{action[1]}"
    async with session.post(target, data={"token": token[1]}) as answer:
        return answer.status, await answer.text()


async def confirm(url: str) -> None:
    async with browser() as session:
        status, text = await page_of(session, url)
        assert status == 200, text
        status, text = await post_form(session, url, text)
        assert status == 200, text


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Any]:
    from contextlib import AsyncExitStack  # noqa: PLC0415  of this fixture alone

    async with AsyncExitStack() as stack:

        async def make(**oidc: Any) -> Setting:
            port = free_port()
            url = f"http://127.0.0.1:{port}"
            provider = await stack.enter_async_context(running_provider(f"{url}/oidc/callback"))
            settings = {
                "issuer": provider.issuer,
                "client_id": CLIENT_ID,
                "client_secret": CLIENT_SECRET,
                "group_domain": "example.com",
                **oidc,
            }
            config = control_config(
                tmp_path, server_url=url, listen_addr=f"127.0.0.1:{port}", oidc=settings
            )
            return Setting(await stack.enter_async_context(running_control(config)), provider)

        yield make


async def test_person_logs_in_and_groups_count_in_the_policy(start: Any) -> None:
    setting = await start()
    policy = """{"acls": [
      {"action": "accept", "src": ["group:eng@example.com"], "dst": ["group:eng@example.com:22"]}
    ]}"""
    await setting.control.server.keeper.set(policy, "test")
    await setting.provider.next(**ANN, groups=["/eng", "ops@other.example"])
    node = TestNode("alpha")
    outcome = await setting.log_in(node)
    assert isinstance(outcome, Registered)
    assert outcome.login_name == "ann@example.com"
    (user,) = setting.control.server.ledger.tailnet.users
    assert user.groups == ("eng@example.com", "ops@other.example")
    async with node.connected(setting.control) as client:
        netmap = await node.stream(client).until(lambda n: n.filters["base"])
    assert netmap.filters["base"]


async def test_same_person_stays_the_same_user_when_the_address_changes(start: Any) -> None:
    setting = await start()
    await setting.provider.next(**ANN)
    await setting.log_in(TestNode())
    await setting.provider.next(**{**ANN, "email": "ann.other@example.com"}, rotate=True)
    await setting.log_in(TestNode())
    (user,) = setting.control.server.ledger.tailnet.users
    assert user.email == "ann.other@example.com"
    assert len(setting.control.server.ledger.tailnet) == 2


async def test_keys_may_be_rotated_between_logins(start: Any) -> None:
    setting = await start()
    for rotate in (False, True, True):
        await setting.provider.next(**ANN, rotate=rotate)
        assert isinstance(await setting.log_in(TestNode()), Registered)


@pytest.mark.parametrize(
    ("oidc", "claims", "status"),
    [
        ({}, {"email_verified": False}, 403),
        ({"allowed_domains": ["other.example"]}, {}, 403),
        ({"allowed_users": ["bo@example.com"]}, {}, 403),
        ({"allowed_groups": ["eng@example.com"]}, {"groups": "ops"}, 403),
        ({}, {"nonce": "another"}, 502),
        ({}, {"aud": "another"}, 502),
        ({}, {"iss": "https://another.example"}, 502),
        ({}, {"exp": int(time.time()) - 3600}, 502),
    ],
)
async def test_whom_the_token_does_not_let_in_stays_out(
    start: Any, oidc: dict[str, Any], claims: dict[str, Any], status: int
) -> None:
    setting = await start(**oidc)
    await setting.provider.next(**{**ANN, **claims})
    node = TestNode()
    async with node.connected(setting.control) as client, browser() as session:
        answer = await client.register(node.login().request)
        assert (await page_of(session, answer.auth_url))[0] == status
    assert len(setting.control.server.ledger.tailnet) == 0
    assert not setting.control.server.ledger.tailnet.users


async def test_roles_follow_groups(start: Any) -> None:
    roles = {"eng@example.com": "auditor", "boss@example.com": "admin"}
    setting = await start(roles=roles)
    for groups, role in ((["eng", "boss"], "admin"), (["eng"], "auditor"), ([], "member")):
        await setting.provider.next(**ANN, groups=groups)
        await setting.log_in(TestNode())
        (user,) = setting.control.server.ledger.tailnet.users
        assert user.role.value == role


async def test_state_works_once_and_only_in_the_browser_that_began(start: Any) -> None:
    setting = await start()
    await setting.provider.next(**ANN)
    node = TestNode()
    async with node.connected(setting.control) as client, browser() as ann, browser() as eve:
        url = (await client.register(node.login().request)).auth_url
        async with ann.get(url, allow_redirects=False) as answer:
            to_provider = answer.headers["Location"]
        assert parse_qs(urlsplit(to_provider).query)["code_challenge_method"] == ["S256"]
        async with ann.get(to_provider, allow_redirects=False) as answer:
            callback = answer.headers["Location"]
        assert (await page_of(eve, callback))[0] == 400
        # Eve has used it up: a state is good for one try, whoever makes it.
        assert (await page_of(ann, callback))[0] == 400


async def test_confirmation_needs_the_browser_that_logged_in_and_works_once(start: Any) -> None:
    setting = await start()
    await setting.provider.next(**ANN)
    node = TestNode()
    async with node.connected(setting.control) as client, browser() as ann, browser() as eve:
        url = (await client.register(node.login().request)).auth_url
        _, text = await page_of(ann, url)
        assert (await post_form(eve, url, text))[0] == 400
        assert (await post_form(ann, url, text))[0] == 400
        _, text = await page_of(ann, url)
        assert (await post_form(ann, url, text))[0] == 200
        assert (await post_form(ann, url, text))[0] == 400
    assert len(setting.control.server.ledger.tailnet) == 1


async def test_address_of_another_user_is_refused(start: Any) -> None:
    setting = await start()
    await setting.control.add_user("ann")
    await setting.provider.next(**ANN)
    node = TestNode()
    async with node.connected(setting.control) as client, browser() as ann:
        url = (await client.register(node.login().request)).auth_url
        _, text = await page_of(ann, url)
        status, text = await post_form(ann, url, text)
    assert status == 403
    assert "another user" in text
    assert len(setting.control.server.ledger.tailnet) == 0


async def test_owner_of_the_source_lets_an_ssh_session_in_and_nobody_else_does(start: Any) -> None:
    setting = await start()
    policy = """{"tagOwners": {"tag:shop": []}, "acls": [], "ssh": [{"action": "check",
      "src": ["ann@example.com"], "dst": ["tag:shop"], "users": ["deploy"]}]}"""
    await setting.control.server.keeper.set(policy, "test")
    await setting.provider.next(**ANN)
    await setting.log_in(TestNode("laptop"))
    shop = TestNode("shop")
    async with shop.connected(setting.control) as client:
        await shop.join(client, await setting.control.add_auth_key(tags=("tag:shop",)))
    await setting.control.server.atlas.refresh()
    async with raw_channel(setting.control, shop) as raw:
        told = json.loads(
            (await raw.ask("GET", "/machine/ssh/action/1/to/2?local_user=deploy")).body
        )
        url = re.search(r"https?://\S+", told["message"])
        assert url
        parts = urlsplit(told["holdAndDelegate"])
        _, held = await raw.begin("GET", f"{parts.path}?{parts.query}")
        await setting.provider.next(sub="2", email="eve@example.com", email_verified=True)
        async with browser() as eve:
            status, text = await page_of(eve, url[0])
        assert (status, "Only the owner" in text) == (403, True)
        assert not held.ended.is_set()
        await setting.provider.next(**ANN)
        await confirm(url[0])
        async with asyncio.timeout(30):
            await held.ended.wait()
    assert json.loads(held.body)["accept"] is True
