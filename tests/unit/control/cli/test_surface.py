"""Every verb and flag of control reference 8.1 is understood, in both spellings."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from control.cli import main
from control.cli.commands import add_control_commands
from control.cli.parsing import Parser

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

SPEC = """
serve
version
health
configtest
completion bash
completion zsh
completion fish
generate private-key
dumpConfig
users create ann
users create ann -d Ann -e a@x -p http://x/p
users create ann --display-name Ann --email a@x --picture-url http://x/p
users list
users list -i 1 -n ann -e a@x
users list --identifier 1 --name ann --email a@x
users rename -i 1 -r bo
users rename --name ann --new-name bo
users rename --identifier 1 --new-name bo
users destroy -i 1
users destroy -n ann
users destroy --identifier 1
nodes list
nodes list -u ann
nodes list --user ann
nodes list-routes
nodes list-routes -i 1
nodes list-routes --identifier 1
nodes register -u ann -k hskey-authreq-x
nodes register --user ann --key hskey-authreq-x
nodes expire -i 1
nodes expire -i 1 -e 2030-01-01T00:00:00Z
nodes expire --identifier 1 --expiry 2030-01-01T00:00:00Z
nodes expire -i 1 -d
nodes expire -i 1 --disable
nodes rename new -i 1
nodes rename -i 1 new
nodes delete -i 1
nodes delete --identifier 1 --force
nodes tag -i 1 -t tag:a,tag:b
nodes tag --identifier 1 --tags tag:a
nodes approve-routes -i 1 -r 10.0.0.0/8,0.0.0.0/0
nodes approve-routes --identifier 1 --routes 10.0.0.0/8
nodes approve-routes -i 1
nodes backfillips
nodes backfillips --force
preauthkeys list
preauthkeys create -u 1 --reusable --ephemeral -e 1h --tags tag:a
preauthkeys create --user 1 --expiration 24h
preauthkeys create --tags tag:a
preauthkeys expire -i 1
preauthkeys expire --id 1
preauthkeys delete -i 1
preauthkeys delete --id 1
apikeys list
apikeys create
apikeys create -e 90d
apikeys create --expiration 90d
apikeys expire -p abc
apikeys expire --prefix abc
apikeys expire -i 1
apikeys delete -p abc
apikeys delete -i 1
apikeys delete --id 1
auth register --auth-id x -u ann
auth register --auth-id x --user ann
auth approve --auth-id x
auth reject --auth-id x
policy get
policy get --bypass-server-and-access-database-directly
policy set -f p.hujson
policy set --file p.hujson
policy set -f p.hujson --bypass-server-and-access-database-directly
policy check -f p.hujson
policy check --file p.hujson --bypass-server-and-access-database-directly
oauth-clients create -s all
oauth-clients create -s devices:core -t tag:a -d terraform
oauth-clients create --scopes all --tags tag:a --description terraform
oauth-clients list
oauth-clients delete -i 1
oauth-clients delete --identifier 1
debug create-node --name x -u ann -k hskey-authreq-x -r 10.0.0.0/8
debug create-node --name x --user ann --key hskey-authreq-x --route 10.0.0.0/8
"""
COMMANDS = SPEC.strip().splitlines()
GLOBAL = ("-c F", "--config F", "-o json", "--output json-line", "-o yaml", "--force")


def parse(line: str) -> argparse.Namespace:
    parser = Parser("postern control", "")
    add_control_commands(parser)
    return parser.parse(line.split())


@pytest.mark.parametrize("line", COMMANDS)
def test_command_is_understood(line: str) -> None:
    assert callable(parse(line).run)


@pytest.mark.parametrize("flag", GLOBAL)
def test_global_flags_stand_in_front_and_behind(flag: str) -> None:
    behind = vars(parse(f"users list {flag}"))
    in_front = vars(parse(f"{flag} users list"))
    for name in ("config", "output", "force"):
        assert behind[name] == in_front[name]
    assert behind != vars(parse("users list"))


def test_commands_of_the_reference_are_all_there_is_a_test_for() -> None:
    parser = Parser("postern control", "")
    add_control_commands(parser)
    ours = {"init", "audit", "dump-config", "users role", "nodes authorize"}
    ours |= {"policy diff", "policy history", "policy rollback"}
    tested = {
        path for path, _ in parser.flags() if any(f"{c} ".startswith(f"{path} ") for c in COMMANDS)
    }
    assert {path for path, _ in parser.flags()} - tested <= ours | {
        "nodes approve",
        "nodes wg-config",
    }


@pytest.mark.parametrize("flags", [["-o", "json"], ["-ojson"], ["--output=json-line"]])
def test_usage_errors_are_json_where_programs_read(
    flags: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["users", "create", *flags])
    assert ended.value.code == 2
    assert "name" in json.loads(capsys.readouterr().err)["error"]


def test_usage_errors_are_sentences_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["users", "create"])
    assert "usage: postern control users create" in capsys.readouterr().err


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_knows_every_command(
    shell: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    for word in (
        "preauthkeys",
        "backfillips",
        "--display-name" if shell != "fish" else "-l display-name",
    ):
        assert word in script


def test_configuration_is_dumped_without_secrets(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POSTERN_CONTROL_CLI__API_KEY", "hskey-api-secret")
    monkeypatch.setenv("POSTERN_CONTROL_DATABASE", "postgresql://u:hunter2@db.example/x")
    config = tmp_path / "c.yaml"
    config.write_text("node: {expiry: 180d}\n")
    assert main(["dumpConfig", "-c", str(config), "-o", "json"]) == 0
    text = capsys.readouterr().out
    assert "secret" not in text.replace("client_secret", "")
    assert "hunter2" not in text
    assert json.loads(text)["node"]["expiry"] == "P180D"


def test_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["version", "-o", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["version"]
