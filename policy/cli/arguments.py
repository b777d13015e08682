"""What command lines look like: the parser that all subcommands share, and options of several."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING, NoReturn, TypeVar

from policy.cli.console import COLOURS
from policy.cli.exit_codes import CannotRunError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from policy.cli.console import Console

__all__ = [
    "HelpShownError",
    "Parser",
    "add_colour",
    "add_format",
    "add_inventory",
    "add_stdin_name",
]

O = TypeVar("O", bound=argparse.Namespace)  # noqa: E741  options

EXIT_CODES = """\
exit codes:
  0  clean
  1  findings
  2  could not run: wrong usage, an unreadable file
  3  undecided: the answer depends on an inventory that was not given
"""


class HelpShownError(Exception):
    """Help or the version was asked for and printed: the run is over, and went well."""


class UsageError(CannotRunError):
    """A command line that makes no sense."""


class _Help(argparse.RawDescriptionHelpFormatter):
    """Help as wide as the terminal, found out without what argparse would import for it."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=28, width=_terminal_width())


class Parser(argparse.ArgumentParser):
    """An argument parser that prints to a console and raises instead of exiting."""

    def __init__(self, prog: str, console: Console, description: str, epilog: str) -> None:
        super().__init__(
            prog=prog,
            description=description,
            epilog=epilog,
            formatter_class=_Help,
            allow_abbrev=False,
        )
        self._console = console

    def parse(self, arguments: Sequence[str], options: O) -> O:
        """Read `arguments` into `options`. Raises UsageError and HelpShownError."""
        return self.parse_intermixed_args(arguments, options)

    def print_help(self, file: object = None) -> None:
        """Print help to the console."""
        del file
        self._console.write(self.format_help())

    def error(self, message: str) -> NoReturn:
        """Raise UsageError with the usage line in front of what is wrong."""
        raise UsageError(f"{message} (see `{self.prog} --help`)")

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        """Raise HelpShownError: argparse comes here after printing what was asked for."""
        del status, message
        raise HelpShownError


def add_format(parser: Parser, formats: Sequence[str]) -> None:
    """Add `--output-format`, `--output-file` and `--color`."""
    parser.add_argument(
        "--output-format",
        "-f",
        choices=formats,
        metavar="FORMAT",
        help=f"one of {', '.join(formats)} (default: full)",
    )
    parser.add_argument(
        "--output-file", "-o", metavar="FILE", help="write there instead of standard output"
    )
    add_colour(parser)


def add_colour(parser: Parser) -> None:
    """Add `--color`."""
    parser.add_argument(
        "--color",
        choices=COLOURS,
        default="auto",
        metavar="WHEN",
        help="auto, always or never (default: auto, which heeds NO_COLOR and FORCE_COLOR)",
    )


def add_inventory(parser: Parser, *, required: bool = False) -> None:
    """Add `--inventory`."""
    parser.add_argument(
        "--inventory",
        "-i",
        metavar="INV",
        required=required,
        help="users and devices as JSON, in the shape of the service's API"
        " (`policy schema --inventory` prints its schema)",
    )


def add_stdin_name(parser: Parser) -> None:
    """Add `--stdin-filename`."""
    parser.add_argument(
        "--stdin-filename",
        metavar="NAME",
        default="<stdin>",
        help="what to call standard input in findings",
    )


def _terminal_width() -> int:
    columns = os.environ.get("COLUMNS", "")
    if columns.isascii() and columns.isdigit() and int(columns[:4]):
        return max(40, int(columns[:4]) - 2)
    try:
        return max(40, min(100, os.get_terminal_size().columns - 2))
    except OSError:
        return 78
