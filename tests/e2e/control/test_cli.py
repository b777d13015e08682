"""The command line against a running server, over its Unix socket."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from structlog.testing import capture_logs

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
        with capture_logs():  # the server's, which runs in this process
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


async def test_preauthorized_key_spares_its_nodes_the_approval(control: Control, run: Run) -> None:
    await run("users", "create", "myuser")
    ledger = control.server.ledger
    async with ledger.transaction("test") as transaction:
        before = ledger.tailnet.settings
        await transaction.save_settings(replace(before, devices_approval_on=True), before)
    create = ("preauthkeys", "create", "--user", "myuser")
    for more, is_authorized in (((), False), (("--preauthorized",), True)):
        _, key, _ = await run(*create, *more)
        node = TestNode("alpha")
        async with node.connected(control) as client:
            outcome = await node.join(client, key.strip())
        assert isinstance(outcome, Registered)
        assert outcome.is_authorized is is_authorized


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
    status, out, _ = await run("policy", "diff", "-f", str(other))
    assert status == 1
    assert "if every user and tag in them had a device" in out
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


POLICY = """{
  "tagOwners": {"tag:shop": []},
  "acls": [{"action": "accept", "src": ["ann@example.com"], "dst": ["tag:shop:443"]}],
  "tests": [{"src": "ann@example.com", "accept": ["tag:shop:443"]}]
}"""


async def test_first_policy_can_be_set_before_anybody_is_there(run: Run, tmp_path: Path) -> None:
    policy = tmp_path / "policy.hujson"
    policy.write_text(POLICY)
    status, _, err = await run("policy", "set", "-f", str(policy))
    assert status == 1
    assert "there is no user ann@example.com" in err
    assert "--pending-tests" in err
    assert (await run("policy", "get"))[1] == "{}\n"
    status, out, err = await run("policy", "set", "-f", str(policy), "--pending-tests")
    assert (status, out) == (0, "policy version 1 is in force\n")
    assert "waits for devices" in err
    assert "waits for devices" in (await run("policy", "get"))[2]
    policy.write_text(POLICY.replace('"accept": ["tag', '"deny": ["tag'))
    status, _, err = await run("policy", "set", "-f", str(policy), "--pending-tests")
    assert (status, "POL501" in err) == (1, True)


async def test_diff_says_who_loses_access(control: Control, run: Run, tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    old.write_text('{"acls": [{"action": "accept", "src": ["*"], "dst": ["*:22"]}]}')
    new.write_text(
        '{"acls": [{"action": "accept", "src": ["*"], "dst": ["*:22"], "proto": "tcp"}]}'
    )
    key = await control.add_auth_key(await control.add_user())
    node = TestNode("alpha")
    async with node.connected(control) as client:
        await node.join(client, key)
    assert (await run("policy", "set", "-f", str(old)))[0] == 0
    assert (await run("policy", "diff", "-f", str(old)))[:2] == (
        0,
        "both policies allow the same\n",
    )
    status, out, _ = await run("policy", "diff", "-f", str(new))
    assert status == 1
    assert "losing access: ann@example.com" in out
    assert "udp 22" in out
    assert "acls[0], line 1" in out
    status, out, _ = await run("policy", "diff", "-f", str(new), "-o", "json")
    assert (status, json.loads(out)["same"]) == (1, False)
    assert (await run("policy", "diff", "-f", str(new), "--text"))[0] == 1
    assert (await run("policy", "set", "-f", str(new)))[0] == 0
    assert (await run("policy", "diff", "1", "-f", str(old)))[0] == 0
    assert (await run("policy", "diff", "1", "2"))[0] == 1
    assert (await run("policy", "diff", "2"))[0] == 0
    assert (await run("policy", "diff", "1", "2", "-f", str(old)))[0] == 2
    assert (await run("policy", "diff"))[0] == 2
    new.write_text("{")
    assert (await run("policy", "diff", "-f", str(new)))[0] == 2


async def test_node_that_is_not_there_can_be_let_in(control: Control, run: Run) -> None:
    await control.add_user()
    key = "hskey-authreq-" + "ab" * 12
    made = await read(
        run, "debug", "create-node", "--name", "ghost", "-u", "ann", "-k", key, "-r", "10.0.0.0/8"
    )
    assert made["authId"] == key
    node = await read(run, "nodes", "register", "-u", "ann", "-k", key)
    assert (node["givenName"], node["availableRoutes"]) == ("ghost", ["10.0.0.0/8"])
    assert (await run("debug", "create-node", "--name", "x", "-u", "ann", "-k", "short"))[0] == 1


async def test_addresses_that_nodes_lack_are_filled_in(control: Control, run: Run) -> None:
    key = await control.add_auth_key(await control.add_user())
    node = TestNode("alpha")
    async with node.connected(control) as client:
        await node.join(client, key)
    ledger = control.server.ledger
    (record,) = ledger.tailnet.nodes
    async with ledger.transaction("test") as transaction:
        await transaction.save_node(replace(record, ipv6=None), record)
    status, _, err = await run("nodes", "backfillips")
    assert (status, "--force" in err) == (1, True)
    found = await read(run, "nodes", "backfillips", "--force")
    assert found["changes"] == ["node 1 (alpha) gets fd7a:115c:a1e0::2"]
    assert (await read(run, "nodes", "backfillips", "--force"))["changes"] == []


async def test_what_cannot_be_undone_needs_force_where_nobody_answers(
    control: Control, run: Run
) -> None:
    await control.add_user()
    status, _, err = await run("users", "destroy", "-n", "ann", "-o", "json")
    assert status == 1
    assert "--force" in json.loads(err)["error"]
    assert (await run("users", "destroy", "-n", "ann", "--force"))[0] == 0


async def test_api_keys_are_named_by_number_too(run: Run) -> None:
    await run("apikeys", "create")
    (key,) = await read(run, "apikeys", "list")
    assert (await run("apikeys", "expire", "-i", key["id"]))[0] == 0
    assert (await run("apikeys", "delete", "--id", key["id"]))[0] == 0
    assert (await run("apikeys", "delete", "-i", key["id"]))[0] == 1


async def test_oauth_clients_are_made_listed_and_deleted(run: Run) -> None:
    made = await read(run, "oauth-clients", "create", "-s", "devices:core,users:read", "-d", "x")
    assert made["secret"].startswith("hskey-client-")
    (listed,) = await read(run, "oauth-clients", "list")
    assert "secret" not in listed
    assert listed["scopes"] == ["devices:core", "users:read"]
    status, _, err = await run("oauth-clients", "create", "-s", "everything")
    assert (status, "does not exist" in err) == (1, True)
    assert (await run("oauth-clients", "delete", "-i", listed["id"]))[0] == 0
    assert await read(run, "oauth-clients", "list") == []


async def test_remote_server_is_used_with_a_key(
    control: Control, run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _, key, _ = await run("apikeys", "create")
    monkeypatch.setenv("POSTERN_CONTROL_CLI_ADDRESS", str(control.url))
    with capture_logs():
        assert await asyncio.to_thread(main, ["users", "list"]) == 1
        assert "an API key is needed" in capsys.readouterr().err
        for name in ("POSTERN_CONTROL_CLI_API_KEY", "POSTERN_CONTROL_CLI__API_KEY"):
            monkeypatch.setenv(name, key.strip())
            assert await asyncio.to_thread(main, ["users", "list", "-o", "json"]) == 0
            monkeypatch.delenv(name)
            assert json.loads(capsys.readouterr().out) == []


@pytest.mark.parametrize("form", ["json", "json-line", "yaml"])
async def test_lists_have_every_form(control: Control, run: Run, form: str) -> None:
    await control.add_user()
    status, out, _ = await run("users", "list", "-o", form)
    assert status == 0
    read_as = yaml.safe_load if form == "yaml" else json.loads
    assert [user["name"] for user in read_as(out)] == ["ann"]
    assert (out.count("\n") == 1) is (form == "json-line")


def test_policy_is_read_and_set_without_a_server(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bypass = "--bypass-server-and-access-database-directly"
    assert main(["init", "--plain", str(tmp_path)]) == 0
    config = ["-c", str(tmp_path / "control.yaml")]
    good, bad = tmp_path / "good", tmp_path / "bad"
    good.write_text('{"acls": []}')
    bad.write_text('{"acls": [')
    assert main(["policy", "set", "-f", str(good), bypass, *config]) == 1
    assert "--force" in capsys.readouterr().err
    assert main(["policy", "set", "-f", str(good), bypass, "--force", *config]) == 0
    assert main(["policy", "set", "-f", str(bad), bypass, "--force", *config]) == 1
    assert "POL102" in capsys.readouterr().err
    assert main(["policy", "check", "-f", str(bad), bypass, *config]) == 1
    capsys.readouterr()
    assert main(["policy", "get", bypass, *config]) == 0
    assert capsys.readouterr().out == '{"acls": []}\n'


async def test_policy_is_not_set_behind_a_running_servers_back(
    control: Control, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "c.yaml"
    running = control.server.config
    config.write_text(f"unix_socket: {running.unix_socket}\ndatabase: {running.database}\n")
    policy = tmp_path / "p"
    policy.write_text("{}")
    arguments = ["policy", "set", "-f", str(policy), "--force", "-c", str(config)]
    arguments.append("--bypass-server-and-access-database-directly")
    assert await asyncio.to_thread(main, arguments) == 1
    assert "a server answers" in capsys.readouterr().err
