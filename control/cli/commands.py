"""Every command: its flags, the request it makes, and what it prints."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from control.cli.completion import SHELLS, completion
from control.cli.policy_commands import add_policy_commands
from control.cli.server import (
    configtest,
    dump_config,
    generate_private_key,
    initialise,
    serve,
)
from control.cli.sureness import is_sure
from control.cli.wg_config import add_wg_config
from control.config import parse_duration
from control.errors import InvalidRequestError
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
    _add_users(parser)
    _add_nodes(parser)
    _add_keys(parser)
    _add_logins(parser)
    parser.command("audit", "show who did what", _audit)
    parser.group("policy", "the policy in force")
    add_policy_commands(parser, "policy ")
    _add_oauth(parser)
    parser.group("debug", "for trying things out")
    add = parser.command("debug create-node", "make a login wait", _debug_node).add_argument
    add("--name", required=True)
    add("-u", "--user", required=True)
    add("-k", "--key", default="", help="hskey-authreq-..., drawn if left out")
    add("-r", "--route", action="append", default=[], help="advertised, repeatable")
    parser.command("version", "print the version", _version)
    parser.command("completion", "print a script for a shell", _completion).add_argument(
        "shell", choices=SHELLS
    )
    for name in ("dumpConfig", "dump-config"):
        parser.command(name, None, dump_config)


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
    parser.command("nodes backfillips", "give nodes the addresses that they lack", _nodes_backfill)


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
        which = parser.command(f"apikeys {verb}", about, run)
        one = which.add_mutually_exclusive_group(required=True)
        one.add_argument("-p", "--prefix", default="")
        one.add_argument("-i", "--id", type=int)


def _add_logins(parser: Parser) -> None:
    parser.group("auth", "logins that wait")
    add = parser.command("auth register", "let a waiting node in", _auth_register).add_argument
    add("-u", "--user", required=True)
    add("--auth-id", required=True)
    for verb, about, run in (
        ("approve", "let a waiting SSH session in", _auth_approve),
        ("reject", "turn a waiting node or SSH session away", _auth_reject),
    ):
        parser.command(f"auth {verb}", about, run).add_argument("--auth-id", required=True)


def _add_oauth(parser: Parser) -> None:
    parser.group("oauth-clients", "programs that use API v2", "oauth-client")
    add = parser.command("oauth-clients create", "make a client", _oauth_create).add_argument
    add("-s", "--scopes", required=True, help="all, devices:core, policy_file:read, ...")
    add("-t", "--tags", default="", help="what its auth keys may put on nodes")
    add("-d", "--description", default="")
    parser.command("oauth-clients list", "list clients", _oauth_list, aliases=["ls"])
    parser.command("oauth-clients delete", "delete a client", _oauth_delete).add_argument(
        "-i", "--id", "--identifier", type=int, required=True
    )


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
    if not is_sure(o, f"delete user {number}"):
        return 1
    client.delete("user", number)
    output.say({}, f"user {number} is deleted")
    return 0


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
    if not is_sure(o, f"delete node {o.identifier}"):
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


def _nodes_backfill(o: argparse.Namespace, client: ApiClient, output: Output) -> int:
    if not is_sure(o, "give and take addresses of nodes, as the configured prefixes ask for"):
        return 1
    found = client.post_query("node", "backfillips", confirmed="true")
    output.say(found, "\n".join(found["changes"]) or "every node has its addresses")
    return 0


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
    prefix = _prefix_of(o, client)
    client.post("apikey", "expire", prefix=prefix)
    output.say({}, f"API key {prefix} opens nothing any more")


def _api_keys_delete(o: argparse.Namespace, client: ApiClient, output: Output) -> None:
    prefix = _prefix_of(o, client)
    client.delete("apikey", prefix)
    output.say({}, f"API key {prefix} is deleted")


def _prefix_of(o: argparse.Namespace, client: ApiClient) -> str:
    if o.id is None:
        return str(o.prefix)
    for key in client.get("apikey")["apiKeys"]:
        if int(key["id"]) == o.id:
            return str(key["prefix"])
    raise InvalidRequestError(f"there is no API key {o.id}; `apikeys list` shows all")


def _oauth_create(o: argparse.Namespace, client: ApiClient, output: Output) -> None:
    made = client.post(
        "oauth-client",
        scopes=_listed(o.scopes),
        tags=_listed(o.tags),
        description=o.description,
    )["oauthClient"]
    output.say(made, f"client {made['clientId']}, secret: {made['secret']}")


def _oauth_list(_o: argparse.Namespace, client: ApiClient, output: Output) -> None:
    found = client.get("oauth-client")["oauthClients"]
    rows = [
        (c["id"], c["clientId"], c["scopes"], c["tags"], c["description"], c["createdAt"])
        for c in found
    ]
    output.show(found, ("ID", "CLIENT", "SCOPES", "TAGS", "DESCRIPTION", "CREATED"), rows)


def _oauth_delete(o: argparse.Namespace, client: ApiClient, output: Output) -> None:
    client.delete("oauth-client", o.id)
    output.say({}, f"OAuth client {o.id} is deleted; its tokens open nothing any more")


def _auth_register(o: argparse.Namespace, client: ApiClient, output: Output) -> None:
    node = client.post("auth", "register", user=o.user, authId=o.auth_id)["node"]
    output.say(node, f"node {node['givenName']} is in, with number {node['id']}")


def _auth_approve(o: argparse.Namespace, client: ApiClient, output: Output) -> None:
    client.post("auth", "approve", authId=o.auth_id)
    output.say({}, "the session is let in")


def _auth_reject(o: argparse.Namespace, client: ApiClient, output: Output) -> None:
    client.post("auth", "reject", authId=o.auth_id)
    output.say({}, "turned away")


def _audit(_o: argparse.Namespace, client: ApiClient, output: Output) -> None:
    found = client.get("audit")["entries"]
    rows = [(e["at"], e["actor"], e["action"], e["target"]) for e in found]
    output.show(found, ("AT", "ACTOR", "ACTION", "TARGET"), rows)


def _debug_node(o: argparse.Namespace, client: ApiClient, output: Output) -> None:
    made = client.post("debug", "node", user=o.user, name=o.name, key=o.key, routes=o.route)
    register = f"postern control auth register --auth-id {made['authId']} --user {o.user}"
    output.say(made, f"{o.name} waits; let it in with: {register}")


def _version(_o: argparse.Namespace, _client: ApiClient, output: Output) -> None:
    version = product_version()
    output.say({"version": version}, f"postern control {version}")


def _completion(o: argparse.Namespace, _client: ApiClient, _output: Output) -> None:
    print(completion(o.parser, o.shell), end="")
