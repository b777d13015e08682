"""Commands on the policy in force: `postern policy ...` and `postern control policy ...`."""

from __future__ import annotations

import sys
from difflib import unified_diff
from pathlib import Path
from typing import TYPE_CHECKING, Final

from control.cli.direct import check_directly, get_directly, set_directly
from control.cli.sureness import is_sure
from control.errors import InvalidRequestError
from engine.difference import difference_lines

if TYPE_CHECKING:
    import argparse

    from control.cli.client import ApiClient
    from control.cli.output import Output
    from control.cli.parsing import Parser

__all__ = ["add_policy_commands"]

_BYPASS: Final = "--bypass-server-and-access-database-directly"


def add_policy_commands(parser: Parser, noun: str = "") -> None:
    """Declare the commands; `noun` goes in front of each, with a space."""
    get = parser.command(f"{noun}get", "print the policy in force", _get)
    put = parser.command(f"{noun}set", "put a policy in force", _set)
    check = parser.command(f"{noun}check", "check a policy, tests included", _check)
    for each in (get, put, check):
        each.add_argument(_BYPASS, action="store_true", dest="is_direct", help="ask no server")
    for each in (put, check):
        each.add_argument(
            "--pending-tests",
            action="store_true",
            help="let tests wait that fail only because nobody has a name yet",
        )
    diff = parser.command(f"{noun}diff", "say what access a policy would add and remove", _diff)
    for each in (put, check):
        each.add_argument("-f", "--file", type=Path, required=True, help="the policy; - for stdin")
    diff.set_defaults(trouble=2)
    diff.add_argument("old", type=int, nargs="?", help="version, else the policy in force")
    diff.add_argument("new", type=int, nargs="?", help="version, else the policy in force")
    diff.add_argument("-f", "--file", type=Path, help="a file in place of NEW; - for stdin")
    diff.add_argument("--text", action="store_true", help="compare the text instead")
    parser.command(f"{noun}history", "list versions", _history)
    parser.command(f"{noun}rollback", "put an earlier version in force", _rollback).add_argument(
        "version", type=int
    )


def _get(o: argparse.Namespace, client: ApiClient, output: Output) -> None:
    found = get_directly(o) if o.is_direct else client.get("policy")
    if found["warning"]:
        print(f"warning: {found['warning']}", file=sys.stderr)
    for problem in found["failingTests"]:
        print(f"warning: fails now: {problem}", file=sys.stderr)
    _tell_pending(found["pendingTests"])
    output.say(found, found["policy"].rstrip("\n"))


def _set(o: argparse.Namespace, client: ApiClient, output: Output) -> int:
    text = _text_of(o.file)
    if o.is_direct:
        if not is_sure(o, "write to the database of a server that does not run"):
            return 1
        found = set_directly(o, text)
    else:
        found = client.put("policy", policy=text, pendingTests=o.pending_tests)
    _tell_pending(found["pendingTests"])
    output.say(found, f"policy version {found['version']} is in force")
    return 0


def _tell_pending(pending: list[str]) -> None:
    for problem in pending:
        print(f"warning: waits for devices: {problem}", file=sys.stderr)


def _check(o: argparse.Namespace, client: ApiClient, output: Output) -> None:
    text = _text_of(o.file)
    if o.is_direct:
        found = check_directly(o, text)
    else:
        found = client.post("policy", "check", policy=text, pendingTests=o.pending_tests)
    _tell_pending(found["pendingTests"])
    for warning in found["warnings"]:
        print(f"warning: {warning}", file=sys.stderr)
    output.say(found, "the policy loads and its tests pass")


def _diff(o: argparse.Namespace, client: ApiClient, output: Output) -> int:
    """Compare as `diff` does: 0 for the same, 1 for a difference, 2 for trouble."""
    if (o.file is None) == (o.new is None) and (o.file is not None or o.old is None):
        raise InvalidRequestError("compare a version with --file, with a version, or with neither")
    name = _version_name(o.new) if o.file is None else str(o.file)
    text = _version_text(client, o.new) if o.file is None else _text_of(o.file)
    if o.text:
        lines = _text_diff(_version_text(client, o.old), text, _version_name(o.old), name)
        output.say({"same": not lines, "diff": lines}, lines.rstrip("\n") or "no difference")
        return 1 if lines else 0
    body = {} if o.old is None else {"version": o.old}
    found = client.post("policy", "diff", policy=text, **body)
    said = [*difference_lines(found)]
    if found["imagined"]:
        said += ["as the tailnet is now; if every user and tag in them had a device:", ""]
        said += difference_lines(found["imagined"])
    output.say(found, "\n".join(said))
    return 0 if found["same"] and not found["imagined"] else 1


def _version_text(client: ApiClient, version: int | None) -> str:
    path = ("policy",) if version is None else ("policy", "version", version)
    return str(client.get(*path)["policy"])


def _version_name(version: int | None) -> str:
    return "in force" if version is None else f"version {version}"


def _text_diff(old: str, new: str, old_name: str, new_name: str) -> str:
    lines = (old.splitlines(keepends=True), new.splitlines(keepends=True))
    return "".join(unified_diff(*lines, old_name, new_name))


def _history(_o: argparse.Namespace, client: ApiClient, output: Output) -> None:
    found = client.get("policy", "history")["versions"]
    rows = [(v["version"], v["createdAt"], v["author"], v["bytes"]) for v in found]
    output.show(found, ("VERSION", "SINCE", "AUTHOR", "BYTES"), rows)


def _rollback(o: argparse.Namespace, client: ApiClient, output: Output) -> None:
    found = client.post("policy", "rollback", version=o.version)
    output.say(found, f"version {o.version} is in force again, as version {found['version']}")


def _text_of(path: Path) -> str:
    if str(path) == "-":
        return sys.stdin.read()
    return path.read_text("utf-8", "surrogateescape")
