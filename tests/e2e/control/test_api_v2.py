"""API v2 as Terraform, policy pushers and operators of clusters use it."""

from __future__ import annotations

import hashlib
import json
from base64 import b64decode, b64encode
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from control.operations.oauth import issue_client
from control.operations.secrets_issued import issue_api_key
from policy.hujson.format import format_source
from policy.source import Source
from tests.support.control_server import Control, TestNode

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

ACL = "/api/v2/tailnet/-/acl"
POLICY = """// ours
{"tagOwners": {"tag:shop": []},
 "acls": [{"action": "accept", "src": ["ann@example.com"], "dst": ["tag:shop:443"]}]}"""


@pytest.fixture
async def api(control: Control) -> AsyncIterator[aiohttp.ClientSession]:
    issued = await issue_api_key(control.server.ledger, "test")
    headers = {"Authorization": f"Bearer {issued.text}"}
    async with aiohttp.ClientSession(f"{control.url}", headers=headers) as session:
        yield session


async def call(
    session: aiohttp.ClientSession, method: str, path: str, body: Any = None, **more: Any
) -> tuple[int, Any]:
    async with session.request(method, path, json=body, **more) as answer:
        return answer.status, await answer.json(content_type=None)


async def token(control: Control, *scopes: str, tags: tuple[str, ...] = ()) -> dict[str, str]:
    """Return the header of a token that a new client got."""
    client = await issue_client(
        control.server.ledger, "test", scopes=scopes, tags=tags, description="x"
    )
    form = {"client_id": client.record.prefix, "client_secret": client.text}
    async with (
        aiohttp.ClientSession(f"{control.url}") as session,
        session.post("/api/v2/oauth/token", data=form) as answer,
    ):
        assert answer.status == 200
        got = await answer.json()
    assert (got["token_type"], got["expires_in"]) == ("Bearer", 3600)
    assert got["access_token"].startswith("hskey-oauthtok-")
    return {"Authorization": f"Bearer {got['access_token']}"}


async def test_pusher_finds_its_own_file_by_etag_and_pushes_what_changed(
    api: aiohttp.ClientSession,
) -> None:
    """The order of calls, and the sum, of the tool that pushes policies from a repository."""

    def sum_of(text: str) -> str:
        return hashlib.sha256(format_source(Source("policy", text)).encode()).hexdigest()

    async def control_etag() -> str:
        async with api.get(ACL, headers={"Accept": "application/hujson"}) as answer:
            return answer.headers["ETag"].strip('"')

    headers = {"If-Match": f'"{await control_etag()}"', "Content-Type": "application/hujson"}
    async with api.post(ACL, data=POLICY, headers=headers) as answer:
        assert answer.status == 200
    assert await control_etag() == sum_of(POLICY)
    async with api.post(ACL, data="{}", headers=headers) as answer:
        assert (answer.status, (await answer.json())["status"]) == (412, 412)
    async with api.get(ACL) as answer:
        assert await answer.text() == POLICY


async def test_policy_is_read_as_json_if_asked(api: aiohttp.ClientSession) -> None:
    async with api.post(ACL, data=POLICY, headers={"Accept": "application/json"}) as answer:
        assert answer.content_type == "application/json"
        assert (await answer.json())["tagOwners"] == {"tag:shop": []}
    async with api.get(ACL, headers={"Accept": "application/json"}) as answer:
        assert answer.content_type == "application/json"
        assert "acls" in await answer.json()
    async with api.get(f"{ACL}?details=1") as answer:
        details = await answer.json()
    assert b64decode(details["acl"]).decode() == POLICY
    assert details["errors"] is None


TEST = {"src": "ann@example.com", "deny": ["tag:shop:443"]}


async def test_failing_tests_are_told_one_by_one(
    control: Control, api: aiohttp.ClientSession
) -> None:
    text = json.dumps({"hosts": {"a": "10.0.0.1", "b": "10.0.0.2"}, "acls": []})
    await call(api, "POST", ACL, json.loads(text))
    tests = [{"src": "a", "accept": ["b:22"]}, {"src": "b", "deny": ["a:1"]}]
    async with api.post(f"{ACL}/validate", json=tests) as answer:
        assert answer.status == 200
        told = await answer.json()
    assert told["message"] == "test(s) failed"
    (failed,) = told["data"]
    assert failed["user"] == "a"
    assert "want accept, got deny" in failed["errors"][0]
    assert await call(api, "POST", f"{ACL}/validate", tests[1:]) == (200, {})
    whole = {**json.loads(text), "tests": tests}
    status, told = await call(api, "POST", ACL, whole)
    assert (status, told["message"]) == (400, "test(s) failed")
    async with api.post(f"{ACL}/validate", data='{"acls": [') as answer:
        assert (await answer.json())["message"].startswith("line 1, column 11:")


async def test_preview_shows_rules_of_a_user_and_of_a_port(
    control: Control, api: aiohttp.ClientSession
) -> None:
    await control.add_user()
    key = await control.add_auth_key(tags=("tag:shop",))
    async with api.post(ACL, data=POLICY) as answer:
        assert answer.status == 200
    own = await control.add_auth_key(control.server.ledger.tailnet.users[0])
    for name, auth in (("shop", key), ("laptop", own)):
        node = TestNode(name)
        async with node.connected(control) as client:
            await node.join(client, auth)
    query = "previewFor=ann@example.com&type=user"
    async with api.post(f"{ACL}/preview?{query}", data=POLICY) as answer:
        found = await answer.json()
    assert found["matches"] == [
        {
            "users": ["ann@example.com"],
            "ports": ["tag:shop:443"],
            "lineNumber": 3,
            "via": [],
            "postures": [],
        }
    ]
    for port, count in ((443, 1), (80, 0)):
        query = f"previewFor=100.64.0.1:{port}&type=ipport"
        async with api.post(f"{ACL}/preview?{query}") as answer:
            assert len((await answer.json())["matches"]) == count
    for query in ("type=user&previewFor=x", "type=ipport&previewFor=x", "type=x"):
        async with api.post(f"{ACL}/preview?{query}") as answer:
            assert answer.status == 400


async def joined(control: Control, **hostinfo: Any) -> None:
    key = await control.add_auth_key(await control.add_user())
    node = TestNode("alpha", hostinfo={"IPNVersion": "1.84.0", **hostinfo})
    async with node.connected(control) as client:
        await node.join(client, key)


async def test_device_is_shown_changed_and_deleted(
    control: Control, api: aiohttp.ClientSession
) -> None:
    await joined(control, RoutableIPs=["10.0.0.0/24", "0.0.0.0/0", "::/0"])
    async with api.post(ACL, data=POLICY) as answer:
        assert answer.status == 200
    status, found = await call(api, "GET", "/api/v2/tailnet/-/devices")
    (device,) = found["devices"]
    assert (status, device["name"], device["user"]) == (
        200,
        "alpha.tail.example",
        "ann@example.com",
    )
    assert "enabledRoutes" not in device
    path = f"/api/v2/device/{device['id']}"
    body = {"routes": ["10.0.0.0/24", "0.0.0.0/0"]}
    status, routes = await call(api, "POST", f"{path}/routes", body)
    assert routes["enabledRoutes"] == ["10.0.0.0/24", "0.0.0.0/0", "::/0"]
    assert await call(api, "GET", f"{path}/routes") == (200, routes)
    for verb, sent in (
        ("name", {"name": "beta.tail.example"}),
        ("authorized", {"authorized": True}),
        ("tags", {"tags": ["tag:shop"]}),
        ("key", {"keyExpiryDisabled": True}),
    ):
        assert await call(api, "POST", f"{path}/{verb}", sent) == (200, {})
    _, shown = await call(api, "GET", f"{path}?fields=all")
    assert shown["name"] == "beta.tail.example"
    assert (shown["tags"], shown["keyExpiryDisabled"]) == (["tag:shop"], True)
    assert shown["advertisedRoutes"] == ["10.0.0.0/24", "0.0.0.0/0", "::/0"]
    assert (await call(api, "POST", f"{path}/authorized", {"authorized": False}))[0] == 400
    assert (await call(api, "POST", f"{path}/tags", {"tags": ["tag:other"]}))[0] == 400
    assert await call(api, "DELETE", path) == (200, {})
    assert (await call(api, "GET", path))[0] == 404
    assert (await call(api, "GET", "/api/v2/device/x"))[0] == 404


async def test_expired_key_ends_now(control: Control, api: aiohttp.ClientSession) -> None:
    await joined(control)
    assert (await call(api, "POST", "/api/v2/device/1/expire"))[0] == 200
    (node,) = control.server.ledger.tailnet.nodes
    assert node.is_expired(control.server.ledger.now())
    body = {"keyExpiryDisabled": False}
    assert (await call(api, "POST", "/api/v2/device/1/key", body))[0] == 200
    (node,) = control.server.ledger.tailnet.nodes
    assert not node.is_expired(control.server.ledger.now())


async def test_users_are_shown(control: Control, api: aiohttp.ClientSession) -> None:
    await joined(control)
    _, found = await call(api, "GET", "/api/v2/tailnet/-/users")
    (user,) = found["users"]
    assert (user["loginName"], user["deviceCount"]) == ("ann@example.com", 1)
    assert await call(api, "GET", f"/api/v2/users/{user['id']}") == (200, user)
    assert (await call(api, "GET", "/api/v2/users/9"))[0] == 404
    assert (await call(api, "GET", "/api/v2/tailnet/other.example/users"))[0] == 404
    assert (await call(api, "GET", "/api/v2/tailnet/tail.example/users"))[0] == 200


async def test_auth_key_lets_a_tagged_node_in(control: Control, api: aiohttp.ClientSession) -> None:
    keys = "/api/v2/tailnet/-/keys"
    assert (await call(api, "POST", keys, {}))[0] == 400
    create = {"reusable": True, "ephemeral": False, "tags": ["tag:shop"]}
    body = {"capabilities": {"devices": {"create": create}}, "expirySeconds": 600}
    _, made = await call(api, "POST", keys, body)
    node = TestNode("shop")
    async with node.connected(control) as client:
        await node.join(client, made["key"])
    (record,) = control.server.ledger.tailnet.nodes
    assert record.tags == ("tag:shop",)
    _, listed = await call(api, "GET", keys)
    assert [key["id"] for key in listed["keys"]] == [made["id"]]
    _, shown = await call(api, "GET", f"{keys}/{made['id']}")
    assert "key" not in shown
    assert shown["capabilities"]["devices"]["create"]["tags"] == ["tag:shop"]
    assert (await call(api, "DELETE", f"{keys}/{made['id']}"))[0] == 200
    assert (await call(api, "GET", f"{keys}/{made['id']}"))[0] == 404


async def test_settings_are_shown_and_say_where_they_are_made(api: aiohttp.ClientSession) -> None:
    path = "/api/v2/tailnet/-/settings"
    status, found = await call(api, "GET", path)
    assert (status, found["aclsExternallyManagedOn"]) == (200, False)
    unchanged = {"networkFlowLoggingOn": False}
    assert await call(api, "PATCH", path, unchanged) == (200, found)
    for is_on in (True, False):
        status, found = await call(api, "PATCH", path, {"devicesApprovalOn": is_on})
        assert (status, found["devicesApprovalOn"]) == (200, is_on)
        assert await call(api, "GET", path) == (200, found)
    for body, word in (
        ({"devicesKeyDurationDays": 30}, "node.expiry"),
        ({"networkFlowLoggingOn": True}, "does not have"),
        ({"nothing": True}, "there is no setting"),
    ):
        status, told = await call(api, "PATCH", path, body)
        assert status == 400
        assert word in told["message"]


SCOPED = [
    ("GET", ACL, "policy_file:read"),
    ("POST", ACL, "policy_file"),
    ("POST", f"{ACL}/validate", "policy_file:read"),
    ("GET", "/api/v2/tailnet/-/devices", "devices:core:read"),
    ("DELETE", "/api/v2/device/1", "devices:core"),
    ("GET", "/api/v2/device/1/routes", "devices:routes:read"),
    ("POST", "/api/v2/device/1/routes", "devices:routes"),
    ("GET", "/api/v2/tailnet/-/keys", "auth_keys:read"),
    ("POST", "/api/v2/tailnet/-/keys", "auth_keys"),
    ("GET", "/api/v2/tailnet/-/settings", "feature_settings:read"),
    ("PATCH", "/api/v2/tailnet/-/settings", "feature_settings"),
    ("GET", "/api/v2/tailnet/-/users", "users:read"),
]


async def test_token_opens_what_its_scopes_say(control: Control) -> None:
    tags = ("tag:x",)
    for method, path, scope in SCOPED:
        area = scope.removesuffix(":read")
        other = "users" if area != "users" else "policy_file"
        opening = [(scope,), (area,), ("all",), *([("all:read",)] if scope != area else [])]
        closed = [(other,), ("all:read",) if scope == area else (other, f"{other}:read")]
        if scope == area:
            closed.append((f"{area}:read",))
        async with aiohttp.ClientSession(f"{control.url}") as session:
            for scopes, is_open in [*((s, True) for s in opening), *((s, False) for s in closed)]:
                headers = await token(control, *scopes, tags=tags)
                async with session.request(method, path, headers=headers) as answer:
                    assert (answer.status != 403) is is_open, (method, path, scopes)


async def test_token_is_no_key_of_api_v1(control: Control) -> None:
    headers = await token(control, "all")
    async with (
        aiohttp.ClientSession(f"{control.url}") as session,
        session.get("/api/v1/user", headers=headers) as answer,
    ):
        assert answer.status == 401


async def test_token_gives_away_no_more_than_it_has(control: Control) -> None:
    headers = await token(control, "auth_keys", "oauth_keys", tags=("tag:a",))
    keys = "/api/v2/tailnet/-/keys"
    async with aiohttp.ClientSession(f"{control.url}", headers=headers) as session:
        create = {"tags": ["tag:b"]}
        body: dict[str, Any] = {"capabilities": {"devices": {"create": create}}}
        assert (await call(session, "POST", keys, body))[0] == 400
        create["tags"] = ["tag:a"]
        assert (await call(session, "POST", keys, body))[0] == 200
        for scopes, tags, status in (
            (["all"], [], 400),
            (["users"], [], 400),
            (["auth_keys"], ["tag:b"], 400),
            (["auth_keys"], ["tag:a"], 200),
        ):
            body = {"keyType": "client", "scopes": scopes, "tags": tags}
            assert (await call(session, "POST", keys, body))[0] == status
    headers = await token(control, "auth_keys", tags=("tag:a",))
    async with aiohttp.ClientSession(f"{control.url}", headers=headers) as session:
        body = {"keyType": "client", "scopes": ["auth_keys"], "tags": ["tag:a"]}
        assert (await call(session, "POST", keys, body))[0] == 400
        _, listed = await call(session, "GET", keys)
        assert {key["keyType"] for key in listed["keys"]} == {"auth"}


async def test_deleted_client_has_no_token_any_more(control: Control) -> None:
    headers = await token(control, "users:read")
    async with aiohttp.ClientSession(f"{control.url}", headers=headers) as session:
        assert (await call(session, "GET", "/api/v2/tailnet/-/users"))[0] == 200
        issued = await issue_api_key(control.server.ledger, "test")
        admin = {"Authorization": f"Bearer {issued.text}"}
        async with session.get("/api/v1/oauth-client", headers=admin) as answer:
            (client,) = (await answer.json())["oauthClients"]
        path = f"/api/v1/oauth-client/{client['id']}"
        assert (await call(session, "DELETE", path, headers=admin))[0] == 200
        assert (await call(session, "GET", "/api/v2/tailnet/-/users"))[0] == 401


@pytest.mark.parametrize(
    ("form", "status", "error"),
    [
        ({}, 401, "invalid_client"),
        ({"client_secret": "hskey-client-" + "0" * 12 + "-" + "0" * 64}, 401, "invalid_client"),
        ({"grant_type": "password"}, 400, "unsupported_grant_type"),
    ],
)
async def test_token_endpoint_refuses_as_oauth_says(
    control: Control, form: dict[str, str], status: int, error: str
) -> None:
    async with (
        aiohttp.ClientSession(f"{control.url}") as session,
        session.post("/api/v2/oauth/token", data=form or {"x": "y"}) as answer,
    ):
        assert (answer.status, (await answer.json())["error"]) == (status, error)


async def test_client_may_ask_for_less_and_by_basic(control: Control) -> None:
    client = await issue_client(
        control.server.ledger, "test", scopes=("all",), tags=(), description=""
    )
    basic = b64encode(f"{client.record.prefix}:{client.text}".encode()).decode()
    headers = {"Authorization": f"Basic {basic}"}
    async with aiohttp.ClientSession(f"{control.url}") as session:
        form = {"grant_type": "client_credentials", "scope": "users:read"}
        async with session.post("/api/v2/oauth/token", data=form, headers=headers) as answer:
            got = await answer.json()
        assert got["scope"] == "users:read"
        bearer = {"Authorization": f"Bearer {got['access_token']}"}
        users = "/api/v2/tailnet/-/users"
        assert (await call(session, "GET", users, headers=bearer))[0] == 200
        assert (await call(session, "GET", ACL, headers=bearer))[0] == 403
