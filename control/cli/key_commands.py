"""Commands about keys: those that let nodes in, those of the REST API, and OAuth clients."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from control.cli.parsing import listed
from control.cli.user_commands import number_of_user
from control.config import parse_duration
from control.errors import InvalidRequestError

if TYPE_CHECKING:
    import argparse

    from control.cli.client import ApiClient
    from control.cli.output import Output
    from control.cli.parsing import Parser

__all__ = ["add_key_commands"]


def add_key_commands(parser: Parser) -> None:
    """Declare `preauthkeys ...`, `apikeys ...` and `oauth-clients ...`."""
    parser.group("preauthkeys", "keys that let nodes in", "preauthkey", "authkeys")
    add = parser.command("preauthkeys create", "make a key", _auth_keys_create).add_argument
    add("-u", "--user", default="", help="number or name")
    add("--reusable", action="store_true", help="lets in more than one node")
    add("--ephemeral", action="store_true", help="its nodes are deleted once they are away")
    add("--preauthorized", action="store_true", help="its nodes need no approval")
    add("-e", "--expiration", default="1h", help="life of the key: 30m, 24h, 90d")
    add("--tags", default="", help="tag:a,tag:b for nodes that are nobody's")
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
    _add_oauth(parser)


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


def _auth_keys_create(o: argparse.Namespace, client: ApiClient, output: Output) -> None:
    made = client.post(
        "preauthkey",
        user=number_of_user(client, o.user) if o.user else None,
        reusable=o.reusable,
        ephemeral=o.ephemeral,
        preauthorized=o.preauthorized,
        expiration=_end_of(o.expiration),
        aclTags=listed(o.tags),
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


def _end_of(duration: str) -> str:
    try:
        life = parse_duration(duration)
    except ValueError as error:
        raise InvalidRequestError(f"--expiration: {error}") from None
    end: datetime = datetime.now(UTC) + life
    return end.isoformat()


def _oauth_create(o: argparse.Namespace, client: ApiClient, output: Output) -> None:
    made = client.post(
        "oauth-client",
        scopes=listed(o.scopes),
        tags=listed(o.tags),
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
