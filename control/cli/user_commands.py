"""Commands about the people who own nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from control.cli.sureness import is_sure
from control.errors import InvalidRequestError

if TYPE_CHECKING:
    import argparse

    from control.cli.client import ApiClient
    from control.cli.output import Output
    from control.cli.parsing import Parser

__all__ = ["add_user_commands", "number_of_user"]


def add_user_commands(parser: Parser) -> None:
    """Declare `users ...`."""
    parser.group("users", "people who own nodes", "user")
    add = parser.command("users create", "make a user", _users_create).add_argument
    add("name", help="unlike all others")
    add("-d", "--display-name", default="", help="shown to people")
    add("-e", "--email", default="", help="login name in policies")
    add("-p", "--picture-url", default="")
    add = parser.command("users list", "list users", _users_list, aliases=["ls"]).add_argument
    add("-i", "--identifier", type=int)
    add("-n", "--name", default="")
    add("-e", "--email", default="")
    rename = parser.command("users rename", "rename a user", _users_rename)
    rename.add_argument("-r", "--new-name", required=True, metavar="NAME")
    destroy = parser.command("users destroy", "delete a user", _users_destroy, aliases=["delete"])
    role = parser.command("users role", "change what a user may do", _users_role)
    role.add_argument("-r", "--role", required=True, help="member, admin, owner, ...")
    for each in (rename, destroy, role):
        each.add_argument("-i", "--identifier", type=int)
        each.add_argument("-n", "--name", default="")


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


def _user_number(client: ApiClient, options: argparse.Namespace) -> int:
    if options.identifier is not None:
        return int(options.identifier)
    if not options.name:
        raise InvalidRequestError("name a user with --identifier or --name")
    return number_of_user(client, options.name)


def number_of_user(client: ApiClient, name: str) -> int:
    """Return the number of a user given by name or number. Raises InvalidRequestError."""
    if name.isdigit():
        return int(name)
    found = client.get("user", name=name)["users"]
    if not found:
        raise InvalidRequestError(f"there is no user {name!r}; `users list` shows all")
    return int(found[0]["id"])
