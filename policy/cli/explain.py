"""`policy explain`: which rules allow a connection, or what the nearest ones lack."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING, NamedTuple

from policy.cli.arguments import (
    EXIT_CODES,
    Parser,
    add_format,
    add_inventory,
    add_stdin_name,
)
from policy.cli.compile import load_valid
from policy.cli.delivery import write_out
from policy.cli.exit_codes import CLEAN, FINDINGS, UNDECIDED, CannotRunError
from policy.cli.reading import read_directory, read_source, refuse_stdin_twice
from policy.model.selectors import Address, parse_selector
from policy.report.style import PLAIN

if TYPE_CHECKING:
    from collections.abc import Sequence

    from policy.cli.console import Console

__all__ = ["Target", "read_target", "run"]

_DESCRIPTION = """\
Say whether SRC may reach DST, and why: the rules that allow it, by file and line, or the rules
that come nearest and what in them does not match.

SRC and DST are devices of the inventory by host name, addresses, users, groups, tags or host
aliases. Without a port, any open port counts as allowed."""

_EXAMPLES = f"""\
examples:
  policy explain policy.hujson ann@corp.test tag:web:443 --inventory inventory.json
  policy explain policy.hujson laptop-7 '[fd7a:115c:a1e0::14]:22' -i inventory.json
  policy explain policy.hujson 100.64.0.9 autogroup:internet:443 --proto udp -i inventory.json

Exit code 0 means allowed, 1 denied altogether or in part.

{EXIT_CODES}"""

_EXIT_CODES = {"allowed": CLEAN, "partly": FINDINGS, "denied": FINDINGS, "undecided": UNDECIDED}
_MAX_PORT = 65535


class _Options(Namespace):
    policy: str
    src: str
    dst: str
    inventory: str
    proto: str | None
    output_format: str | None
    output_file: str | None
    color: str
    stdin_filename: str


class Target(NamedTuple):
    """What `DST[:PORT]` says."""

    name: str
    port: int | None


def run(arguments: Sequence[str], console: Console) -> int:
    """Run the subcommand; return its exit code."""
    options = _parse(arguments, console)
    target = read_target(options.dst)
    refuse_stdin_twice((options.policy, options.inventory))
    directory = read_directory(options.inventory, console)
    source = read_source(options.policy, console, options.stdin_filename)
    policy = load_valid(source, directory, console, options.color)
    if policy is None:
        return FINDINGS
    from engine.explain import QuestionError, explain  # noqa: PLC0415  costs more than a check

    try:
        answer = explain(policy, directory, options.src, target.name, target.port, options.proto)
    except QuestionError as error:
        raise CannotRunError(str(error)) from error
    if options.output_format == "json":
        from policy.cli.explanation_json import explanation_json  # noqa: PLC0415

        text = explanation_json(answer, policy, options.src, target.name, target.port)
    else:
        from policy.cli.explanation_text import explanation_text  # noqa: PLC0415

        style = PLAIN if options.output_file else console.style(options.color)
        text = explanation_text(answer, policy, f"{options.src} to {options.dst}", style)
    if options.output_file:
        write_out(text, options.output_file)
    else:
        console.write(text)
    return _EXIT_CODES[answer.verdict]


def read_target(text: str) -> Target:
    """Split `DST[:PORT]`. Raises CannotRunError.

    An IPv6 address takes brackets where a port follows it: `[fd7a::1]:22`.
    """
    if text[:1] == "[":
        name, bracket, port = text[1:].partition("]")
        if not bracket or (port and port[0] != ":"):
            raise CannotRunError(f"{text}: write an IPv6 address and port as [fd7a::1]:22")
        return Target(name, _port(port[1:], text) if port else None)
    name, colon, port = text.rpartition(":")
    if not colon or isinstance(parse_selector(text), Address) or not _is_port(port):
        return Target(text, None)
    return Target(name, None if port == "*" else _port(port, text))


def _is_port(text: str) -> bool:
    return text == "*" or (text.isascii() and text.isdigit())


def _port(text: str, whole: str) -> int | None:
    if text == "*":
        return None
    if not _is_port(text) or len(text) > len(str(_MAX_PORT)) or int(text) > _MAX_PORT:
        raise CannotRunError(f"{whole}: a port is a number from 0 to {_MAX_PORT}")
    return int(text)


def _parse(arguments: Sequence[str], console: Console) -> _Options:
    parser = Parser("policy explain", console, _DESCRIPTION, _EXAMPLES)
    parser.add_argument("policy", metavar="POLICY", help="the policy; `-` for stdin")
    parser.add_argument("src", metavar="SRC", help="who connects")
    parser.add_argument("dst", metavar="DST[:PORT]", help="to whom, and to which port")
    add_inventory(parser, required=True)
    parser.add_argument(
        "--proto", metavar="PROTO", help="protocol by name or number (default: tcp)"
    )
    add_format(parser, ("full", "json"))
    add_stdin_name(parser)
    return parser.parse(arguments, _Options())
