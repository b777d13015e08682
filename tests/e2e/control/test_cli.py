"""The command line against a running server, over its Unix socket."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from control.cli import main, policy_main
from node.session.login import Registered
from tests.support.control_server import Control, TestNode

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    Run = Callable[..., Awaitable[tuple[int, str, str]]]


@pytest.fixture
def run(control: Control, capsys: pytest.CaptureFixture[str]) -> Run:
    async def call(*arguments: str) -> tuple[int, str, str]:
        command = policy_main if arguments[0] == "policy" else main
        given = [*arguments[1:]] if arguments[0] == "policy" else [*arguments]
        socket = str(control.server.config.unix_socket)
        capsys.readouterr()
        status = await asyncio.to_thread(command, [*given, "--socket", socket])
        out, err = capsys.readouterr()
        return status, out, err

    return call


async def read(run: Run, *arguments: str) -> Any:
    status, out, err = await run(*arguments, "-o", "json")
    assert status == 0, err
    return json.loads(out)


async def test_user_and_key_let_a_node_in(control: Control, run: Run) -> None:
    assert (await run("users", "create", "myuser"))[:2] == (0, "user myuser has number 1\n")
    status, key, _ = await run(
        "preauthkeys", "create", "--user", "myuser", "--reusable", "--expiration", "24h"
    )
    assert status == 0
    node = TestNode("alpha")
    async with node.connected(control) as client:
        assert isinstance(await node.join(client, key.strip()), Registered)
    (listed,) = await read(run, "nodes", "list")
    assert (listed["givenName"], listed["user"]["name"]) == ("alpha", "myuser")
    assert listed["ipAddresses"] == ["100.64.0.1", "fd7a:115c:a1e0::1"]


async def test_node_is_renamed_tagged_routed_expired_and_deleted(
    control: Control, run: Run, tmp_path: Path
) -> None:
    key = await control.add_auth_key(await control.add_user())
    policy = tmp_path / "policy.hujson"
    policy.write_text('{"tagOwners": {"tag:web": []}, "acls": []}')
    assert (await run("policy", "set", "-f", str(policy)))[0] == 0
    node = TestNode("alpha", hostinfo={"RoutableIPs": ["10.0.0.0/24"]})
    async with node.connected(control) as client:
        await node.join(client, key)
    assert (await read(run, "nodes", "rename", "-i", "1", "gamma"))["givenName"] == "gamma"
    routed = await read(run, "nodes", "approve-routes", "-i", "1", "-r", "10.0.0.0/24")
    assert routed["subnetRoutes"] == ["10.0.0.0/24"]
    assert (await read(run, "nodes", "expire", "-i", "1"))["expiry"]
    assert (await read(run, "nodes", "expire", "-i", "1", "-d"))["expiry"] is None
    tagged = await read(run, "nodes", "tag", "-i", "1", "-t", "tag:web")
    assert (tagged["tags"], tagged["user"]) == (["tag:web"], None)
    assert (await run("nodes", "tag", "-i", "1", "-t", "tag:other"))[0] == 1
    assert (await run("nodes", "delete", "-i", "1", "--force"))[0] == 0
    assert await read(run, "nodes", "list") == []


async def test_waiting_login_is_let_in(control: Control, run: Run) -> None:
    await control.add_user()
    node = TestNode()
    async with node.connected(control) as client:
        urls: asyncio.Queue[str] = asyncio.Queue()
        task = asyncio.create_task(client.log_in(node.login(), urls.put_nowait))
        auth_id = (await urls.get()).rpartition("/")[2]
        status, _, err = await run("auth", "register", "--auth-id", auth_id, "--user", "ann")
        assert status == 0, err
        assert isinstance(await task, Registered)
        status, _, err = await run("auth", "register", "--auth-id", auth_id, "--user", "ann")
    assert status == 1
    assert "decided already" in err


async def test_policy_is_set_refused_compared_and_rolled_back(run: Run, tmp_path: Path) -> None:
    good, failing, broken = (tmp_path / name for name in ("good", "failing", "broken"))
    good.write_text('{"acls": []}')
    failing.write_text(
        '{"hosts": {"a": "100.64.0.9", "b": "100.64.0.8"}, "acls": [],'
        ' "tests": [{"src": "a", "accept": ["b:22"]}]}'
    )
    broken.write_text('{"acls": [')
    assert (await run("policy", "set", "-f", str(good)))[:2] == (
        0,
        "policy version 1 is in force\n",
    )
    for bad in (failing, broken):
        for verb in ("set", "check"):
            status, _, err = await run("policy", verb, "-f", str(bad))
            assert status == 1
            assert "POL" in err
    assert (await run("policy", "get"))[1] == '{"acls": []}\n'
    other = tmp_path / "other"
    other.write_text("{}")
    assert (await run("policy", "diff", "-f", str(other)))[0] == 1
    assert (await run("policy", "set", "-f", str(other)))[0] == 0
    assert (await run("policy", "rollback", "1"))[0] == 0
    history = await read(run, "policy", "history")
    assert [version["version"] for version in history] == [3, 2, 1]
    assert (await run("policy", "get"))[1] == '{"acls": []}\n'


async def test_errors_are_sentences_or_json(run: Run) -> None:
    status, _, err = await run("nodes", "rename", "-i", "9", "x")
    assert (status, err) == (
        1,
        "error: there is no node 9; `postern control nodes list` shows all\n",
    )
    status, _, err = await run("nodes", "rename", "-i", "9", "x", "-o", "json")
    assert json.loads(err)["error"].startswith("there is no node 9")


async def test_secrets_are_shown_once(control: Control, run: Run) -> None:
    await control.add_user()
    _, key, _ = await run("preauthkeys", "create", "-u", "ann")
    _, api_key, _ = await run("apikeys", "create")
    _, keys, _ = await run("preauthkeys", "list", "-o", "yaml")
    _, api_keys, _ = await run("apikeys", "list", "-o", "yaml")
    _, log, _ = await run("audit", "-o", "yaml")
    for secret in (key, api_key):
        assert secret.strip().rpartition("-")[2] not in keys + api_keys + log


def test_server_that_does_not_run_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["users", "list", "--socket", str(tmp_path / "none")]) == 1
    assert "no control server answers" in capsys.readouterr().err


def test_init_writes_a_configuration_that_is_good(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["init", str(tmp_path)]) == 0
    assert main(["configtest", "-c", str(tmp_path / "control.yaml")]) == 0
    assert main(["init", str(tmp_path)]) == 1
    assert "there already" in capsys.readouterr().err
