"""The REST API over the network: keys, conditional changes, and refusals."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING

import aiohttp
import pytest

from control.http.api_v1 import ApiV1
from control.http.metrics import Metrics
from control.operations.secrets_issued import issue_api_key
from tests.support.control_server import TestNode

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.support.control_server import Control


@pytest.fixture
async def api(control: Control) -> AsyncIterator[aiohttp.ClientSession]:
    issued = await issue_api_key(control.server.ledger, "test")
    headers = {"Authorization": f"Bearer {issued.text}"}
    async with aiohttp.ClientSession(f"{control.url}", headers=headers) as session:
        yield session


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer x", "Basic x", "Bearer hskey-api-" + "0" * 12 + "-" + "0" * 64]
)
async def test_nobody_gets_in_without_a_key(control: Control, header: str) -> None:
    headers = {"Authorization": header}
    async with (
        aiohttp.ClientSession(f"{control.url}") as session,
        session.get("/api/v1/user", headers=headers) as answer,
    ):
        assert (answer.status, answer.content_type) == (401, "application/problem+json")


async def test_key_opens_the_api(api: aiohttp.ClientSession) -> None:
    async with api.post("/api/v1/user", json={"name": "ann", "email": "ann@example.com"}) as made:
        assert made.status == 200
    async with api.get("/api/v1/user") as listed:
        assert [user["name"] for user in (await listed.json())["users"]] == ["ann"]


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/api/v1/user", {"name": "a b"}, 400),
        ("POST", "/api/v1/user", {"nme": "x"}, 400),
        ("POST", "/api/v1/user", [], 400),
        ("DELETE", "/api/v1/user/7", None, 404),
        ("DELETE", "/api/v1/user/x", None, 400),
        ("POST", "/api/v1/node/7/tags", {"tags": []}, 400),
        ("POST", "/api/v1/preauthkey", {}, 400),
        ("POST", "/api/v1/preauthkey", {"user": 5}, 404),
        ("POST", "/api/v1/apikey/expire", {"id": 99}, 404),
        ("POST", "/api/v1/auth/reject", {"authId": "x"}, 404),
        ("GET", "/api/v1/nothing", None, 404),
    ],
)
async def test_refusals_have_the_right_status(
    api: aiohttp.ClientSession, method: str, path: str, body: object, status: int
) -> None:
    async with api.request(method, path, json=body) as answer:
        assert answer.status == status


async def test_name_is_taken_once(api: aiohttp.ClientSession) -> None:
    for status in (200, 409):
        async with api.post("/api/v1/user", json={"name": "ann"}) as answer:
            assert answer.status == status


async def test_policy_changes_only_over_the_version_that_was_read(
    api: aiohttp.ClientSession,
) -> None:
    async with api.get("/api/v1/policy") as answer:
        first = answer.headers["ETag"]
    change = {"policy": '{"acls": []}'}
    async with api.put("/api/v1/policy", json=change, headers={"If-Match": first}) as answer:
        assert answer.status == 200
    async with api.put("/api/v1/policy", json=change, headers={"If-Match": first}) as answer:
        assert answer.status == 412


async def test_document_describes_every_endpoint(
    control: Control, api: aiohttp.ClientSession
) -> None:
    async with api.get("/api/v1/openapi.json") as answer:
        document = await answer.json()
    described = {
        (method.upper(), path)
        for path, operations in document["paths"].items()
        for method in operations
    }

    assert described == {(e.method, e.path) for e in ApiV1(control.server).endpoints}


async def test_key_answers_without_authentication(control: Control) -> None:
    async with aiohttp.ClientSession(f"{control.url}") as session:
        async with session.get("/key?v=145") as answer:
            keys = await answer.json()
        statuses = []
        for query in ("", "?v=", "?v=x", "?v=38"):
            async with session.get(f"/key{query}") as answer:
                statuses.append(answer.status)
    assert keys["publicKey"] == control.server.control_key.public.to_text()
    assert keys["legacyPublicKey"] == "mkey:" + "0" * 64
    assert statuses == [400, 400, 400, 200]


@pytest.mark.parametrize(
    ("headers", "text"),
    [
        ({}, "missing next protocol"),
        ({"Upgrade": "h2c", "Connection": "upgrade"}, "unknown next protocol"),
        (
            {"Upgrade": "tailscale-control-protocol", "Connection": "upgrade"},
            "missing Tailscale handshake header",
        ),
        (
            {
                "Upgrade": "Tailscale-Control-Protocol",
                "Connection": "upgrade",
                "X-Tailscale-Handshake": "*",
            },
            "invalid tailscale handshake header",
        ),
    ],
)
async def test_upgrade_says_what_is_missing(
    control: Control, headers: dict[str, str], text: str
) -> None:
    async with (
        aiohttp.ClientSession(f"{control.url}") as session,
        session.post("/ts2021", headers=headers) as answer,
    ):
        assert (answer.status, await answer.text()) == (400, text)


async def test_server_knows_no_ping_since_it_sends_none(control: Control) -> None:
    async with aiohttp.ClientSession(f"{control.url}") as session:
        for method, status in (("HEAD", 404), ("GET", 405), ("POST", 405)):
            async with session.request(method, "/machine/ping-response?id=x") as answer:
                assert answer.status == status


async def test_relay_admission_fails_closed(control: Control) -> None:
    async with aiohttp.ClientSession(f"{control.url}") as session:
        for body in (b"", b"{", b"[]", b'{"NodePublic": 7}', b'{"NodePublic": "x"}', b"x" * 5000):
            async with session.post("/verify", data=body) as answer:
                assert await answer.json() == {"Allow": False}


async def test_login_page_shows_the_command_and_escapes_the_host(control: Control) -> None:
    node = TestNode("<script>alert(1)</script>")
    async with node.connected(control) as client:
        url = (await client.register(node.login().request)).auth_url
    path = url[url.index("/register/") :]
    async with aiohttp.ClientSession(f"{control.url}") as session:
        async with session.get(path) as answer:
            page = await answer.text()
            assert (answer.status, answer.headers["X-Frame-Options"]) == (200, "DENY")
        async with session.get("/register/hskey-authreq-other") as answer:
            assert answer.status == 404
    assert f"auth register --auth-id {path.removeprefix('/register/')}" in page
    assert "<script>" not in page


async def test_metrics_count_nodes_and_streams(control: Control) -> None:
    key = await control.add_auth_key(await control.add_user())
    node = TestNode()
    async with node.connected(control) as client:
        await node.join(client, key)
        await node.stream(client).next()
        text = Metrics(control.server).text().decode()
    for line in (
        "postern_control_nodes 1.0",
        "postern_control_nodes_online 1.0",
        "postern_control_map_streams 1.0",
        "postern_control_connections 1.0",
    ):
        assert f"\n{line}\n" in text


ACL = "/api/v2/tailnet/-/acl"


async def test_gitops_reads_changes_and_is_told_of_conflicts(api: aiohttp.ClientSession) -> None:
    async with api.get(ACL) as answer:
        assert answer.content_type == "application/hujson"
        first = answer.headers["ETag"]
    text = '{"acls": [], /* ours */}'
    for if_match, status in ((first, 200), (first, 412)):
        async with api.post(ACL, data=text, headers={"If-Match": if_match}) as answer:
            assert answer.status == status
    async with api.get(ACL) as answer:
        assert await answer.text() == text
        assert answer.headers["ETag"] != first


async def test_untouched_default_can_be_asked_for(api: aiohttp.ClientSession) -> None:
    headers = {"If-Match": '"ts-default"'}
    for status in (200, 412):
        async with api.post(ACL, data="{}", headers=headers) as answer:
            assert answer.status == status


async def test_validation_changes_nothing(api: aiohttp.ClientSession) -> None:
    for text, is_good in (('{"acls": []}', True), ('{"acls": [', False)):
        async with api.post(f"{ACL}/validate", data=text) as answer:
            assert answer.status == 200
            assert ("message" in await answer.json()) is not is_good
    async with api.get(ACL) as answer:
        assert await answer.text() == "{}\n"


async def test_basic_authentication_takes_the_key_as_the_user(control: Control) -> None:
    issued = await issue_api_key(control.server.ledger, "test")
    async with aiohttp.ClientSession(f"{control.url}") as session:
        for name, status in ((issued.text, 200), ("x", 401)):
            header = f"Basic {b64encode(f'{name}:'.encode()).decode()}"
            async with session.get(ACL, headers={"Authorization": header}) as answer:
                assert answer.status == status
