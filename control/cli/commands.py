"""Every command: its flags, the request it makes, and what it prints."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from difflib import unified_diff
from pathlib import Path
from typing import TYPE_CHECKING, Any

from control.cli.server import configtest, generate_private_key, initialise, serve
from control.cli.wg_config import add_wg_config
from control.config import parse_duration
from control.errors import InvalidRequestError

if TYPE_CHECKING:
    import argparse

    from control.cli.client import ApiClient
    from control.cli.output import Output
    from control.cli.parsing import Parser

__all__ = ["add_control_commands", "add_policy_commands"]


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
    _add_users(parser)
    _add_nodes(parser)
    _add_keys(parser)
    _add_logins(parser)
    parser.command("audit", "show who did what", _audit)
    parser.group("policy", "the policy in force")
    _add_policy(parser, "policy ")


def add_policy_commands(parser: Parser) -> None:
    """Declare `postern policy ...`."""
    _add_policy(parser, "")


def _add_users(parser: Parser) -> None:
    parser.group("users", "people who own nodes", "user")
    add = parser.command("users create", "make a user", _users_create).add_argument
    add("name")
    add("-d", "--display-name", default="")
    add("-e", "--email", default="")
    add("-p", "--picture-url", default="")
    add = parser.command("users list", "list users", _users_list, aliases=["ls"]).add_argument
    add("-i", "--identifier", type=int)
    add("-n", "--name", default="")
    add("-e", "--email", default="")
    rename = parser.command("users rename", "rename a user", _users_rename)
    rename.add_argument("-r", "--new-name", required=True)
    destroy = parser.command("users destroy", "delete a user", _users_destroy, aliases=["delete"])
    role = parser.command("users role", "change what a user may do", _users_role)
    role.add_argument("-r", "--role", required=True)
    for each in (rename, destroy, role):
        each.add_argument("-i", "--identifier", type=int)
        each.add_argument("-n", "--name", default="")


def _add_nodes(parser: Parser) -> None:
    parser.group("nodes", "devices", "node")
    add = parser.command("nodes list", "list nodes", _nodes_list, aliases=["ls"]).add_argument
    add("-u", "--user", default="")
    parser.command("nodes list-routes", "list routes", _nodes_routes).add_argument(
        "-i", "--identifier", type=int
    )
    register = parser.command("nodes register", "let a waiting node in", _auth_register)
    register.add_argument("-u", "--user", required=True)
    register.add_argument("-k", "--key", dest="auth_id", required=True)
    expire = parser.command("nodes expire", "end a node key's life", _nodes_expire)
    expire.add_argument("-e", "--expiry", default="")
    expire.add_argument("-d", "--disable", action="store_true")
    rename = parser.command("nodes rename", "rename a node", _nodes_rename)
    rename.add_argument("new_name")
    delete = parser.command("nodes delete", "delete a node", _nodes_delete, aliases=["rm"])
    tag = parser.command("nodes tag", "set a node's tags", _nodes_tag)
    tag.add_argument("-t", "--tags", required=True, help="tag:a,tag:b")
    routes = parser.command("nodes approve-routes", "approve exactly these routes", _nodes_approve)
    routes.add_argument("-r", "--routes", default="", help="10.0.0.0/8,0.0.0.0/0; empty for none")
    authorize = parser.command("nodes authorize", "let an unapproved node in", _nodes_authorize)
    for each in (expire, rename, delete, tag, routes, authorize):
        each.add_argument("-i", "--identifier", type=int, required=True)
    add_wg_config(parser)


def _add_keys(parser: Parser) -> None:
    parser.group("preauthkeys", "keys that let nodes in", "preauthkey", "authkeys")
    add = parser.command("preauthkeys create", "make a key", _auth_keys_create).add_argument
    add("-u", "--user", default="", help="number or name")
    add("--reusable", action="store_true")
    add("--ephemeral", action="store_true")
    add("-e", "--expiration", default="1h")
    add("--tags", default="")
    parser.command("preauthkeys list", "list keys", _auth_keys_list, aliases=["ls"])
    for verb, about in (("expire", "make a key useless"), ("delete", "delete a key")):
        run = _auth_keys_expire if verb == "expire" else _auth_keys_delete
        parser.command(f"preauthkeys {verb}", about, run).add_argument(
            "-i", "--id", type=int, required=True
        )
    parser.group("apikeys", "keys of the REST API", "apikey")
    parser.command("apikeys create", "make a key", _api_keys_create).add_argument(
        "-e", "--expiration", default="90d"
    )
    parser.command("apikeys list", "list keys", _api_keys_list, aliases=["ls"])
    for verb, about in (("expire", "make a key useless"), ("delete", "delete a key")):
        run = _api_keys_expire if verb == "expire" else _api_keys_delete
        parser.command(f"apikeys {verb}", about, run).add_argument("-p", "--prefix", required=True)


def _add_logins(parser: Parser) -> None:
    parser.group("auth", "logins that wait")
    add = parser.command("auth register", "let a waiting node in", _auth_register).add_argument
    add("-u", "--user", required=True)
    add("--auth-id", required=True)
    parser.command("auth reject", "turn a waiting node away", _auth_reject).add_argument(
        "--auth-id", required=True
    )


def _add_policy(parser: Parser, noun: str) -> None:
    parser.command(f"{noun}get", "print the policy in force", _policy_get)
    for verb, about, run in (
        ("set", "put a policy in force", _policy_set),
        ("check", "check a policy, tests included", _policy_check),
        ("diff", "compare a file with the policy in force", _policy_diff),
    ):
        parser.command(noun + verb, about, run).add_argument(
            "-f", "--file", type=Path, required=True
        )
    parser.command(f"{noun}history", "list versions", _policy_history)
    parser.command(
        f"{noun}rollback", "put an earlier version in force", _policy_rollback
    ).add_argument("version", type=int)


def _health(_o: argparse.Namespace, client: ApiClient, output: Output) -> None:
    output.say(client.get("health"), "healthy")


def _user_number(client: ApiClient, options: argparse.Namespace) -> int:
    if options.identifier is not None:
        return int(options.identifier)
    if not options.name:
        raise InvalidRequestError("name a user with --identifier or --name")
    return _number_of(client, options.name)


def _number_of(client: ApiClient, name: str) -> int:
    if name.isdigit():
        return int(name)
    found = client.get("user", name=name)["users"]
    if not found:
        raise InvalidRequestError(f"there is no user {name!r}; `users list` shows all")
    return int(found[0]["id"])


def _users_create(o: argparse.Namespace, client: ApiClient, output: Output) -> None:
    made = client.post(
        "user", name=o.name, displayName=o.display_name, email=o.email, pictureUrl=o.picture_url
    )["user"]
    output.say(made, f"user {made['name']} has number {made['id']}")


def _users_list(o: argparse.Namespace, client: ApiClient, output: Output) -> None:
    found = client.get("user", id=o.identifier, name=o.name, email=o.email)["users"]
    rows = [
        (u["id"], u["name"], u["displayName"], u["email"], u["role"], u["createdAt"]) for u in found
    ]
    output.show(found, ("ID", "NAME", "DISPLAY NAME", "EMAIL", "ROLE", "CREATED"), rows)


def _users_rename(o: argparse.Namespace, client: ApiClient, output: Output) -> None:
    number = _user_number(client, o)
    changed = client.post("user", number, "rename", o.new_name)["user"]
    output.say(changed, f"user {number} is called {changed['name']} now")


def _users_role(o: argparse.Namespace, client: ApiClient, output: Output) -> None:
    number = _user_number(client, o)
    changed = client.post("user", number, "role", role=o.role)["user"]
    output.say(changed, f"user {changed['name']} is {changed['role']} now")


def _users_destroy(o: argparse.Namespace, client: ApiClient, output: Output) -> int:
    number = _user_number(client, o)
    if not _is_sure(o, f"delete user {number}"):
        return 1
    client.delete("user", number)
    output.say({}, f"user {number} is deleted")
    return 0


def _is_sure(options: argparse.Namespace, what: str) -> bool:
    if options.force or not sys.stdin.isatty():
        return True
    return input(f"{what}? [y/N] ").strip().lower() in {"y", "yes"}


_NODE_HEADINGS = ("ID", "NAME", "USER", "TAGS", "ADDRESSES", "ONLINE", "EXPIRES", "LAST SEEN")


def _node_row(node: dict[str, Any]) -> tuple[object, ...]:
    user = node["user"]["name"] if node["user"] else ""
    return (
        node["id"],
        node["givenName"],
        user,
        node["tags"],
        node["ipAddresses"],
        node["online"],
        node["expiry"],
        node["lastSeen"],
    )


def _nodes_list(o: argparse.Namespace, client: ApiClient, output: Output) -> None:
    found = client.get("node", user=o.user)["nodes"]
    output.show(found, _NODE_HEADINGS, [_node_row(node) for node in found])


def _nodes_routes(o: argparse.Namespace, client: ApiClient, output: Output) -> None:
    found = [
        node
        for node in client.get("node")["nodes"]
        if node["availableRoutes"] or node["approvedRoutes"]
        if o.identifier in {None, int(node["id"])}
    ]
    rows = [
        (n["id"], n["givenName"], n["approvedRoutes"], n["availableRoutes"], n["subnetRoutes"])
        for n in found
    ]
    output.show(found, ("ID", "NAME", "APPROVED", "AVAILABLE", "SERVING"), rows)


def _nodes_expire(o: argparse.Namespace, client: ApiClient, output: Output) -> None:
    body: dict[str, object] = {"disableExpiry": True} if o.disable else {}
    if o.expiry:
        body["expiry"] = o.expiry
    node = client.post("node", o.identifier, "expire", **body)["node"]
    output.say(node, f"node {node['givenName']} expires: {node['expiry'] or 'never'}")


def _nodes_rename(o: argparse.Namespace, client: ApiClient, output: Output) -> None:
    node = client.post("node", o.identifier, "rename", o.new_name)["node"]
    output.say(node, f"node {node['id']} is called {node['givenName']} now")


def _nodes_delete(o: argparse.Namespace, client: ApiClient, output: Output) -> int:
    if not _is_sure(o, f"delete node {o.identifier}"):
        return 1
    client.delete("node", o.identifier)
    output.say({}, f"node {o.identifier} is deleted")
    return 0


def _nodes_tag(o: argparse.Namespace, client: ApiClient, output: Output) -> None:
    node = client.post("node", o.identifier, "tags", tags=_listed(o.tags))["node"]
    output.say(node, f"node {node['givenName']} has the tags {', '.join(node['tags'])}")


def _nodes_approve(o: argparse.Namespace, client: ApiClient, output: Output) -> None:
    node = client.post("node", o.identifier, "approve_routes", routes=_listed(o.routes))["node"]
    routes = ", ".join(node["approvedRoutes"]) or "none"
    output.say(node, f"node {node['givenName']} has these routes approved: {routes}")


def _nodes_authorize(o: argparse.Namespace, client: ApiClient, output: Output) -> None:
    node = client.post("node", o.identifier, "authorize")["node"]
    output.say(node, f"node {node['givenName']} takes part now")


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _end_of(duration: str) -> str:
    try:
        life = parse_duration(duration)
    except ValueError as error:
        raise InvalidRequestError(f"--expiration: {error}") from None
    end: datetime = datetime.now(UTC) + life
    return end.isoformat()


def _auth_keys_create(o: argparse.Namespace, client: ApiClient, output: Output) -> None:
    made = client.post(
        "preauthkey",
        user=_number_of(client, o.user) if o.user else None,
        reusable=o.reusable,
        ephemeral=o.ephemeral,
        expiration=_end_of(o.expiration),
        aclTags=_listed(o.tags),
    )["preAuthKey"]
    output.say(made, made["key"])


def _auth_keys_list(_o: argparse.Namespace, client: ApiClient, output: Output) -> None:
    found = client.get("preauthkey")["preAuthKeys"]
    rows = [
        (
            key["id"],
            key["key"],
            key["user"]["name"] if key["user"] else "",
            key["aclTags"],
            key["reusable"],
            key["ephemeral"],
            key["used"],
            key["expiration"],
        )
        for key in found
    ]
    headings = ("ID", "KEY", "USER", "TAGS", "REUSABLE", "EPHEMERAL", "USED", "EXPIRES")
    output.show(found, headings, rows)


def _auth_keys_expire(o: argparse.Namespace, client: ApiClient, output: Output) -> None:
    client.post("preauthkey", "expire", id=o.id)
    output.say({}, f"key {o.id} lets nobody in any more")


def _auth_keys_delete(o: argparse.Namespace, client: ApiClient, output: Output) -> None:
    client.delete("preauthkey", id=o.id)
    output.say({}, f"key {o.id} is deleted")


def _api_keys_create(o: argparse.Namespace, client: ApiClient, output: Output) -> None:
    made = client.post("apikey", expiration=_end_of(o.expiration))
    output.say(made, made["apiKey"])


def _api_keys_list(_o: argparse.Namespace, client: ApiClient, output: Output) -> None:
    found = client.get("apikey")["apiKeys"]
    rows = [(k["id"], k["prefix"], k["expiration"], k["createdAt"]) for k in found]
    output.show(found, ("ID", "PREFIX", "EXPIRES", "CREATED"), rows)


def _api_keys_expire(o: argparse.Namespace, client: ApiClient, output: Output) -> None:
    client.post("apikey", "expire", prefix=o.prefix)
    output.say({}, f"API key {o.prefix} opens nothing any more")


def _api_keys_delete(o: argparse.Namespace, client: ApiClient, output: Output) -> None:
    client.delete("apikey", o.prefix)
    output.say({}, f"API key {o.prefix} is deleted")


def _auth_register(o: argparse.Namespace, client: ApiClient, output: Output) -> None:
    node = client.post("auth", "register", user=o.user, authId=o.auth_id)["node"]
    output.say(node, f"node {node['givenName']} is in, with number {node['id']}")


def _auth_reject(o: argparse.Namespace, client: ApiClient, output: Output) -> None:
    client.post("auth", "reject", authId=o.auth_id)
    output.say({}, "the node was turned away")


def _audit(_o: argparse.Namespace, client: ApiClient, output: Output) -> None:
    found = client.get("audit")["entries"]
    rows = [(e["at"], e["actor"], e["action"], e["target"]) for e in found]
    output.show(found, ("AT", "ACTOR", "ACTION", "TARGET"), rows)


def _policy_get(_o: argparse.Namespace, client: ApiClient, output: Output) -> None:
    found = client.get("policy")
    if found["warning"]:
        print(f"warning: {found['warning']}", file=sys.stderr)
    for problem in found["failingTests"]:
        print(f"warning: fails now: {problem}", file=sys.stderr)
    output.say(found, found["policy"].rstrip("\n"))


def _policy_set(o: argparse.Namespace, client: ApiClient, output: Output) -> None:
    found = client.put("policy", policy=_text_of(o.file))
    output.say(found, f"policy version {found['version']} is in force")


def _policy_check(o: argparse.Namespace, client: ApiClient, output: Output) -> None:
    found = client.post("policy", "check", policy=_text_of(o.file))
    for warning in found["warnings"]:
        print(f"warning: {warning}", file=sys.stderr)
    output.say(found, "the policy loads and its tests pass")


def _policy_diff(o: argparse.Namespace, client: ApiClient, output: Output) -> int:
    old = client.get("policy")["policy"].splitlines(keepends=True)
    new = _text_of(o.file).splitlines(keepends=True)
    lines = list(unified_diff(old, new, "in force", str(o.file)))
    output.say({"diff": "".join(lines)}, "".join(lines).rstrip("\n") or "no difference")
    return 1 if lines else 0


def _policy_history(_o: argparse.Namespace, client: ApiClient, output: Output) -> None:
    found = client.get("policy", "history")["versions"]
    rows = [(v["version"], v["createdAt"], v["author"], v["bytes"]) for v in found]
    output.show(found, ("VERSION", "SINCE", "AUTHOR", "BYTES"), rows)


def _policy_rollback(o: argparse.Namespace, client: ApiClient, output: Output) -> None:
    found = client.post("policy", "rollback", version=o.version)
    output.say(found, f"version {o.version} is in force again, as version {found['version']}")


def _text_of(path: Path) -> str:
    if str(path) == "-":
        return sys.stdin.read()
    return path.read_text("utf-8", "surrogateescape")
