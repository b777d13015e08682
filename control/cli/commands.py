"""Every command of `postern control`: its flags, the request it makes, and what it prints."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from control.cli.completion import SHELLS, completion
from control.cli.key_commands import add_key_commands
from control.cli.login_commands import add_login_commands
from control.cli.node_commands import add_node_commands
from control.cli.policy_commands import add_policy_commands
from control.cli.server import (
    configtest,
    dump_config,
    generate_private_key,
    initialise,
    serve,
)
from control.cli.user_commands import add_user_commands
from policy.report.version import product_version

if TYPE_CHECKING:
    import argparse

    from control.cli.client import ApiClient
    from control.cli.output import Output
    from control.cli.parsing import Parser

__all__ = ["add_control_commands"]


def add_control_commands(parser: Parser) -> None:
    """Declare `postern control ...`."""
    parser.command("serve", "run the server", lambda o, _c, _p: serve(o.config))
    parser.command("configtest", "check the configuration", configtest)
    add = parser.command("init", "make a configuration for a trial", initialise).add_argument
    add("directory", type=Path, nargs="?", default=Path())
    add("--host", action="append", default=[], help="name or address of the server, repeatable")
    add("--plain", action="store_true", help="plain HTTP, for a proxy that has the certificate")
    parser.command("health", "ask the server how it is", _health)
    parser.group("generate", "make keys")
    parser.command("generate private-key", "print a new control key", generate_private_key)
    add_user_commands(parser)
    add_node_commands(parser)
    add_key_commands(parser)
    add_login_commands(parser)
    parser.command("audit", "show who did what", _audit)
    parser.group("policy", "the policy in force")
    add_policy_commands(parser, "policy ")
    parser.command("version", "print the version", _version)
    parser.command("completion", "print a script for a shell", _completion).add_argument(
        "shell", choices=SHELLS
    )
    for name in ("dumpConfig", "dump-config"):
        parser.command(name, None, dump_config)


def _health(_o: argparse.Namespace, client: ApiClient, output: Output) -> None:
    output.say(client.get("health"), "healthy")


def _audit(_o: argparse.Namespace, client: ApiClient, output: Output) -> None:
    found = client.get("audit")["entries"]
    rows = [(e["at"], e["actor"], e["action"], e["target"]) for e in found]
    output.show(found, ("AT", "ACTOR", "ACTION", "TARGET"), rows)


def _version(_o: argparse.Namespace, _client: ApiClient, output: Output) -> None:
    version = product_version()
    output.say({"version": version}, f"postern control {version}")


def _completion(o: argparse.Namespace, _client: ApiClient, _output: Output) -> None:
    print(completion(o.parser, o.shell), end="")
