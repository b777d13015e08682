"""Commands on the policy in force: `postern policy ...` and `postern control policy ...`."""

from __future__ import annotations

import sys
from difflib import unified_diff
from pathlib import Path
from typing import TYPE_CHECKING, Final

from control.cli.direct import check_directly, get_directly, set_directly
from control.cli.sureness import is_sure
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
    for each in (put, check, diff):
        each.add_argument("-f", "--file", type=Path, required=True, help="the policy; - for stdin")
    diff.set_defaults(trouble=2)
    diff.add_argument("--version", type=int, help="compare with this version")
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
    text = _text_of(o.file)
    if o.text:
        return _diff_texts(o, client, output, text)
    body = {} if o.version is None else {"version": o.version}
    found = client.post("policy", "diff", policy=text, **body)
    lines = [*difference_lines(found)]
    if found["imagined"]:
        lines += ["as the tailnet is now; if every user and tag in them had a device:", ""]
        lines += difference_lines(found["imagined"])
    output.say(found, "\n".join(lines))
    return 0 if found["same"] and not found["imagined"] else 1


def _diff_texts(o: argparse.Namespace, client: ApiClient, output: Output, text: str) -> int:
    path = ("policy",) if o.version is None else ("policy", "version", o.version)
    old = client.get(*path)["policy"].splitlines(keepends=True)
    new = text.splitlines(keepends=True)
    name = "in force" if o.version is None else f"version {o.version}"
    lines = list(unified_diff(old, new, name, str(o.file)))
    joined = "".join(lines)
    output.say({"same": not lines, "diff": joined}, joined.rstrip("\n") or "no difference")
    return 1 if lines else 0


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
