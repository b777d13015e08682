"""Commands about logins that wait, of nodes and of SSH sessions."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from control.cli.client import ApiClient
    from control.cli.output import Output
    from control.cli.parsing import Parser

__all__ = ["add_login_commands", "let_in"]


def add_login_commands(parser: Parser) -> None:
    """Declare `auth ...` and `debug ...`."""
    parser.group("auth", "logins that wait")
    add = parser.command("auth register", "let a waiting node in", let_in).add_argument
    add("-u", "--user", required=True)
    add("--auth-id", required=True)
    for verb, about, run in (
        ("approve", "let a waiting SSH session in", _auth_approve),
        ("reject", "turn a waiting node or SSH session away", _auth_reject),
    ):
        parser.command(f"auth {verb}", about, run).add_argument("--auth-id", required=True)
    parser.group("debug", "for trying things out")
    add = parser.command("debug create-node", "make a login wait", _debug_node).add_argument
    add("--name", required=True)
    add("-u", "--user", required=True)
    add("-k", "--key", default="", help="hskey-authreq-..., drawn if left out")
    add("-r", "--route", action="append", default=[], help="advertised, repeatable")


def let_in(o: argparse.Namespace, client: ApiClient, output: Output) -> None:
    """Let a waiting node in for a user."""
    node = client.post("auth", "register", user=o.user, authId=o.auth_id)["node"]
    output.say(node, f"node {node['givenName']} is in, with number {node['id']}")


def _auth_approve(o: argparse.Namespace, client: ApiClient, output: Output) -> None:
    client.post("auth", "approve", authId=o.auth_id)
    output.say({}, "the session is let in")


def _auth_reject(o: argparse.Namespace, client: ApiClient, output: Output) -> None:
    client.post("auth", "reject", authId=o.auth_id)
    output.say({}, "turned away")


def _debug_node(o: argparse.Namespace, client: ApiClient, output: Output) -> None:
    made = client.post("debug", "node", user=o.user, name=o.name, key=o.key, routes=o.route)
    register = f"postern control auth register --auth-id {made['authId']} --user {o.user}"
    output.say(made, f"{o.name} waits; let it in with: {register}")
