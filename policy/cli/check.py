"""`policy check`: every mistake that can be found, and the tests that policies carry."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING

from policy.cli.arguments import EXIT_CODES, Parser, add_format, add_inventory, add_stdin_name
from policy.cli.delivery import deliver
from policy.cli.examination import SUITE_SUFFIX, examine, examine_suite
from policy.cli.exit_codes import CANNOT_RUN, CLEAN, FINDINGS, CannotRunError
from policy.cli.reading import read_directory, read_source, refuse_stdin_twice
from policy.diagnostics.diagnostic import Severity
from policy.report.formats import FORMATS
from policy.report.model import Report

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.directory import Directory
    from policy.cli.console import Console
    from policy.report.model import FileReport

__all__ = ["run"]

_DESCRIPTION = """\
Check policies: syntax, shape, meaning, and the tests that they carry.

Nothing is asked over a network. Without an inventory of users and devices, logins, domains and
roles are taken on trust, and the answer says how many; tests that depend on one are undecided.
Findings carry the service's own words; all are shown, the one it would answer with first."""

_EXAMPLES = f"""\
examples:
  policy check policy.hujson
  policy check policies/*.hujson --output-format concise
  policy check policy.hujson --inventory inventory.json
  policy check policy.hujson --output-format sarif --output-file policy.sarif
  git show HEAD:policy.hujson | policy check - --stdin-filename policy.hujson

A file named *{SUITE_SUFFIX} is checked as a test suite; `policy test` runs it.

{EXIT_CODES}"""

_LEVELS = {
    "error": (Severity.ERROR,),
    "warning": (Severity.ERROR, Severity.WARNING),
    "info": tuple(Severity),
}


class _Options(Namespace):
    policy: list[str]
    inventory: str | None
    output_format: str | None
    output_file: str | None
    color: str
    stdin_filename: str
    fail_level: str
    exit_zero: bool


def run(arguments: Sequence[str], console: Console) -> int:
    """Run the subcommand; return its exit code."""
    parser = Parser("policy check", console, _DESCRIPTION, _EXAMPLES)
    parser.add_argument("policy", nargs="+", metavar="POLICY", help="a policy; `-` for stdin")
    add_inventory(parser)
    parser.add_argument(
        "--fail-level",
        choices=tuple(_LEVELS),
        default="error",
        metavar="LEVEL",
        help="what counts as a finding: error, warning or info (default: error)",
    )
    parser.add_argument("--exit-zero", action="store_true", help="exit 0 whatever is found")
    add_format(parser, FORMATS)
    add_stdin_name(parser)
    options = parser.parse(arguments, _Options())
    refuse_stdin_twice((*options.policy, options.inventory))
    directory = read_directory(options.inventory, console) if options.inventory else None
    files, all_read = _examine_all(options, directory, console)
    report = Report("check", tuple(files))
    if files:
        deliver(report, console, options.output_format, options.output_file, options.color)
    if not all_read:
        return CANNOT_RUN
    found = any(finding.severity in _LEVELS[options.fail_level] for finding in report.findings)
    return FINDINGS if found and not options.exit_zero else CLEAN


def _examine_all(
    options: _Options, directory: Directory | None, console: Console
) -> tuple[list[FileReport], bool]:
    """Examine what can be read, complain of the rest; tell whether all could be read."""
    files: list[FileReport] = []
    all_read = True
    for path in options.policy:
        try:
            source = read_source(path, console, options.stdin_filename)
        except CannotRunError as error:
            console.complain(str(error))
            all_read = False
            continue
        if source.name.endswith(SUITE_SUFFIX):
            files.append(examine_suite(source))
        else:
            files.append(examine(source, directory))
    return files, all_read
