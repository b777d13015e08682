"""`policy compile`: what every node of a tailnet would be told.

Nodes are compiled and printed one at a time, so that a large tailnet needs no more memory than
the largest of its nodes and what all of them share.
"""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING

from policy.cli.arguments import (
    EXIT_CODES,
    Parser,
    add_format,
    add_inventory,
    add_stdin_name,
)
from policy.cli.exit_codes import CLEAN, FINDINGS, CannotRunError
from policy.cli.reading import read_directory, read_source, refuse_stdin_twice
from policy.load import load

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from engine.directory import Directory
    from policy.cli.console import Console
    from policy.model.document import Policy
    from policy.source import Source

__all__ = ["load_valid", "run"]

_PARTS = ("packetFilter", "sshPolicy", "peers", "selfAllowedIPs", "selfCapMap")

_DESCRIPTION = """\
Compile a policy for an inventory and print what each node would be told: packet filter, SSH
policy, peers with their allowed IPs, its own addresses and capabilities.

JSON has the control protocol's own spelling: {"nodes": {HOSTNAME: {"packetFilter": [...],
"sshPolicy": {...}, "peers": {...}, "selfAllowedIPs": [...], "selfCapMap": {...}}}}"""

_EXAMPLES = f"""\
examples:
  policy compile policy.hujson --inventory inventory.json
  policy compile policy.hujson --inventory inventory.json --node web-1
  policy compile policy.hujson -i inventory.json --only packetFilter --output-format json

A policy that is not valid is not compiled: its findings go to standard error.

{EXIT_CODES}"""


class _Options(Namespace):
    policy: str
    inventory: str
    node: list[str] | None
    only: str | None
    output_format: str | None
    output_file: str | None
    color: str
    stdin_filename: str


def run(arguments: Sequence[str], console: Console) -> int:
    """Run the subcommand; return its exit code."""
    options = _parse(arguments, console)
    parts = _read_parts(options.only)
    refuse_stdin_twice((options.policy, options.inventory))
    directory = read_directory(options.inventory, console)
    source = read_source(options.policy, console, options.stdin_filename)
    policy = load_valid(source, directory, console, options.color)
    if policy is None:
        return FINDINGS
    chosen = _choose(options.node, directory)
    from engine.compile.network import CompiledNetwork  # noqa: PLC0415  costs more than a check

    network = CompiledNetwork(policy, directory)
    if options.output_format == "json":
        from policy.cli.compiled_json import compiled_json as spell  # noqa: PLC0415
    else:
        from policy.cli.compiled_text import compiled_text as spell  # noqa: PLC0415
    _stream(spell(network, chosen, parts), options.output_file, console)
    return CLEAN


def load_valid(
    source: Source, directory: Directory | None, console: Console, colour: str
) -> Policy | None:
    """Load a policy; where it is not valid, print why to standard error and return None."""
    loaded = load(source, domains=None if directory is None else directory.domains)
    if loaded.policy is None:
        from policy.report.full import render_findings  # noqa: PLC0415  only for bad policies

        style = console.style(colour, console.stderr)
        console.stderr.write(render_findings(loaded.diagnostics, style))
        console.complain(f"{source.name} is not valid")
    return loaded.policy


def _parse(arguments: Sequence[str], console: Console) -> _Options:
    parser = Parser("policy compile", console, _DESCRIPTION, _EXAMPLES)
    parser.add_argument("policy", metavar="POLICY", help="the policy; `-` for stdin")
    add_inventory(parser, required=True)
    parser.add_argument(
        "--node", action="append", metavar="HOST", help="only this device; may be given again"
    )
    parser.add_argument(
        "--only", metavar="PARTS", help=f"some of {','.join(_PARTS)}, separated by commas"
    )
    add_format(parser, ("full", "json"))
    add_stdin_name(parser)
    return parser.parse(arguments, _Options())


def _read_parts(only: str | None) -> tuple[str, ...]:
    if only is None:
        return _PARTS
    wanted = [part.strip() for part in only.split(",")]
    for part in wanted:
        if part not in _PARTS:
            raise CannotRunError(f"--only: there is no part `{part}`; use {', '.join(_PARTS)}")
    return tuple(part for part in _PARTS if part in wanted)


def _choose(names: list[str] | None, directory: Directory) -> list[int]:
    """Return the indices of the nodes asked for. Raises CannotRunError."""
    if names is None:
        return [node.index for node in directory.nodes]
    chosen = []
    for name in names:
        node = directory.by_hostname.get(name)
        if node is None:
            from policy.nearest import nearest  # noqa: PLC0415  only for mistakes

            close = nearest(name, directory.by_hostname)
            hint = f"; did you mean `{close}`?" if close else ""
            raise CannotRunError(f"the inventory has no device `{name}`{hint}")
        chosen.append(node.index)
    return list(dict.fromkeys(chosen))


def _stream(chunks: Iterator[str], path: str | None, console: Console) -> None:
    if path is None:
        for chunk in chunks:
            console.write(chunk)
        return
    try:
        with open(path, "w", encoding="utf-8", newline="\n") as file:  # noqa: PTH123  see reading
            file.writelines(chunks)
    except OSError as error:
        raise CannotRunError(f"{path}: {error.strerror}") from error
