"""`policy diff`: what access a change of policy gives and takes."""

from __future__ import annotations

import json
from argparse import Namespace
from difflib import unified_diff
from typing import TYPE_CHECKING

from policy.cli.arguments import Parser, add_format, add_inventory, add_stdin_name
from policy.cli.compile import load_valid
from policy.cli.delivery import write_out
from policy.cli.exit_codes import CANNOT_RUN, CLEAN, FINDINGS, UNDECIDED
from policy.cli.reading import read_directory, read_source, refuse_stdin_twice

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.directory import Directory
    from policy.cli.console import Console
    from policy.model.document import Policy
    from policy.source import Source

__all__ = ["run"]

_DESCRIPTION = """\
Say what access a change gives and takes: who loses and gains which services of which devices, by
which rule. What both policies allow, or neither does, is no difference, however much the text
changed.

With an inventory the answer is exact: a connection, capability or SSH login is listed if and only
if the two policies decide it otherwise. Without one the policies are compared on an imagined
tailnet with a device for each user and tag that they name; no difference there proves nothing."""

_EXAMPLES = """\
examples:
  policy diff old.hujson new.hujson --inventory inventory.json
  git show main:policy.hujson | policy diff - policy.hujson -i inventory.json
  policy diff old.hujson new.hujson -i inventory.json --output-format json
  policy diff old.hujson new.hujson --text

exit codes:
  0  the same access
  1  the access differs (with --text: the text does)
  2  could not run: wrong usage, an unreadable file, an invalid policy
  3  no difference found, and no inventory given
"""


class _Options(Namespace):
    old: str
    new: str
    inventory: str | None
    text: bool
    output_format: str | None
    output_file: str | None
    color: str
    stdin_filename: str


def run(arguments: Sequence[str], console: Console) -> int:
    """Run the subcommand; return its exit code."""
    options = _parse(arguments, console)
    refuse_stdin_twice((options.old, options.new, options.inventory))
    directory = read_directory(options.inventory, console) if options.inventory else None
    old, new = (
        read_source(path, console, options.stdin_filename) for path in (options.old, options.new)
    )
    if options.text:
        return _compare_texts(old, new, options, console)
    loaded = [load_valid(source, directory, console, options.color) for source in (old, new)]
    before, after = loaded
    if before is None or after is None:
        return CANNOT_RUN
    return _compare(before, after, directory, options, console)


def _compare(
    before: Policy,
    after: Policy,
    directory: Directory | None,
    options: _Options,
    console: Console,
) -> int:
    from engine.difference import (  # noqa: PLC0415  costs more than a check
        difference,
        difference_lines,
        difference_to_json,
    )
    from engine.testing.imagined import imagine_both  # noqa: PLC0415  see above

    is_imagined = directory is None
    found = difference(before, after, directory or imagine_both(before, after))
    spelled = difference_to_json(found)
    if options.output_format == "json":
        text = json.dumps({**spelled, "imagined": is_imagined}, indent=2, ensure_ascii=False)
    else:
        note = ["note: on an imagined tailnet; --inventory makes the answer exact"]
        text = "\n".join([*difference_lines(spelled), *(note if is_imagined else ())])
    _deliver(text + "\n", options, console)
    if not found.is_empty:
        return FINDINGS
    return UNDECIDED if is_imagined and before.source.text != after.source.text else CLEAN


def _compare_texts(old: Source, new: Source, options: _Options, console: Console) -> int:
    lines = list(
        unified_diff(
            old.text.splitlines(keepends=True),
            new.text.splitlines(keepends=True),
            old.name,
            new.name,
        )
    )
    if options.output_format == "json":
        text = json.dumps({"same": not lines, "diff": "".join(lines)}, ensure_ascii=False) + "\n"
    else:
        text = "".join(line if line.endswith("\n") else f"{line}\n" for line in lines)
    _deliver(text, options, console)
    return FINDINGS if lines else CLEAN


def _deliver(text: str, options: _Options, console: Console) -> None:
    if options.output_file:
        write_out(text, options.output_file)
    else:
        console.write(text)


def _parse(arguments: Sequence[str], console: Console) -> _Options:
    parser = Parser("policy diff", console, _DESCRIPTION, _EXAMPLES)
    parser.add_argument("old", metavar="OLD", help="the policy as it was; `-` for stdin")
    parser.add_argument("new", metavar="NEW", help="the policy as it would be; `-` for stdin")
    add_inventory(parser)
    parser.add_argument(
        "--text", action="store_true", help="compare the text instead of what it means"
    )
    add_format(parser, ("full", "json"))
    add_stdin_name(parser)
    return parser.parse(arguments, _Options())
