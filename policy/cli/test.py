"""`policy test`: the tests of a policy and of suites beside it."""

from __future__ import annotations

import os
from argparse import Namespace
from typing import TYPE_CHECKING

from policy.cli.arguments import EXIT_CODES, Parser, add_format, add_inventory, add_stdin_name
from policy.cli.delivery import deliver
from policy.cli.examination import SUITE_SUFFIX, examine
from policy.cli.exit_codes import CLEAN, FINDINGS, UNDECIDED
from policy.cli.reading import STDIN, read_directory, read_source, refuse_stdin_twice
from policy.report.formats import FORMATS
from policy.report.model import Outcome, Report
from policy.suite import load_suite

if TYPE_CHECKING:
    from collections.abc import Sequence

    from policy.cli.console import Console

__all__ = ["run", "suite_beside"]

_DESCRIPTION = f"""\
Run the tests of a policy: its own `tests` and `sshTests`, and those of suites.

Without SUITE, a suite of the same name beside the policy is run too: policy{SUITE_SUFFIX} beside
policy.hujson. Tests whose answer depends on users or devices need an inventory; without one they
are undecided, which is neither passed nor failed."""

_EXAMPLES = f"""\
examples:
  policy test policy.hujson --inventory inventory.json
  policy test policy.hujson suites/*{SUITE_SUFFIX} --inventory inventory.json
  policy test policy.hujson --select ann@corp.test --verbose
  policy test policy.hujson --output-format junit --output-file results.xml

{EXIT_CODES}"""


class _Options(Namespace):
    policy: str
    suite: list[str]
    inventory: str | None
    select: str | None
    verbose: bool
    fail_on_empty: bool
    output_format: str | None
    output_file: str | None
    color: str
    stdin_filename: str


def run(arguments: Sequence[str], console: Console) -> int:
    """Run the subcommand; return its exit code."""
    options = _parse(arguments, console)
    refuse_stdin_twice((options.policy, *options.suite, options.inventory))
    directory = read_directory(options.inventory, console) if options.inventory else None
    source = read_source(options.policy, console, options.stdin_filename)
    paths = options.suite or suite_beside(options.policy)
    suites = [load_suite(read_source(path, console, options.stdin_filename)) for path in paths]
    file = examine(source, directory, suites)
    if options.select is not None:
        chosen = tuple(case for case in file.cases if options.select in case.title)
        file = file._replace(cases=chosen)
    report = Report("test", (file,), verbose=options.verbose)
    deliver(report, console, options.output_format, options.output_file, options.color)
    if not file.is_valid:
        return FINDINGS
    if not file.cases:
        console.complain(f"{source.name}: no test was run")
        return FINDINGS if options.fail_on_empty else CLEAN
    return UNDECIDED if file.count(Outcome.UNDECIDED) else CLEAN


def suite_beside(path: str) -> list[str]:
    """Return the suite of the same name beside a policy, as far as there is one."""
    if path == STDIN:
        return []
    suite = os.path.splitext(path)[0] + SUITE_SUFFIX  # noqa: PTH122  pathlib would be half of a small run
    return [suite] if os.path.exists(suite) else []  # noqa: PTH110  see above


def _parse(arguments: Sequence[str], console: Console) -> _Options:
    parser = Parser("policy test", console, _DESCRIPTION, _EXAMPLES)
    parser.add_argument("policy", metavar="POLICY", help="the policy; `-` for stdin")
    parser.add_argument("suite", nargs="*", metavar="SUITE", help="test suites to run against it")
    add_inventory(parser)
    parser.add_argument(
        "--select", "-k", metavar="TEXT", help="report only tests with TEXT in their title"
    )
    parser.add_argument("--verbose", "-v", action="store_true", help="list passed tests too")
    parser.add_argument("--fail-on-empty", action="store_true", help="exit 1 if no test was run")
    add_format(parser, FORMATS)
    add_stdin_name(parser)
    return parser.parse(arguments, _Options())
