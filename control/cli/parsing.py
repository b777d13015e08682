"""Flags that every command has, and how commands and their aliases are declared."""

from __future__ import annotations

import argparse
import json
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

__all__ = ["FORMS", "Parser"]

FORMS: Final = ("table", "json", "json-line", "yaml")
_USAGE_STATUS: Final = 2


class _Parser(argparse.ArgumentParser):
    """Says what is wrong as JSON where programs read the output."""

    def error(self, message: str) -> NoReturn:
        if _asks_for_json(self.arguments):
            text = json.dumps({"error": f"{self.prog}: {message}", "problems": []})
            self.exit(_USAGE_STATUS, f"{text}\n")
        super().error(message)

    arguments: Sequence[str] = ()
    """What is being parsed, by whichever of the parsers."""


class Parser:
    """A command with subcommands, two levels deep; global flags may stand anywhere."""

    def __init__(self, program: str, about: str) -> None:
        self.program = program
        self._common = _Parser(add_help=False)
        add = self._common.add_argument
        add("-c", "--config", type=Path, default=argparse.SUPPRESS, help="configuration file")
        add("-o", "--output", choices=FORMS, default=argparse.SUPPRESS)
        add("--force", action="store_true", default=argparse.SUPPRESS, help="ask nothing")
        add("--socket", type=Path, default=argparse.SUPPRESS, help="socket of the local server")
        add("--address", default=argparse.SUPPRESS, help="URL of a remote server")
        self._parser = _Parser(prog=program, description=about, parents=[self._common])
        self._top = self._parser.add_subparsers(required=True, metavar="COMMAND")
        self._groups: dict[str, Any] = {}
        self._commands: dict[str, argparse.ArgumentParser] = {}

    def group(self, name: str, about: str, *aliases: str) -> None:
        """Declare a noun that has verbs."""
        parser = self._top.add_parser(
            name, help=about, aliases=list(aliases), parents=[self._common]
        )
        self._groups[name] = parser.add_subparsers(required=True, metavar="ACTION")

    def command(
        self,
        path: str,
        about: str | None,
        run: Callable[..., int | None],
        *,
        aliases: Sequence[str] = (),
    ) -> argparse.ArgumentParser:
        """Declare `verb` or `noun verb`; returns its parser for flags of its own.

        Without `about` the command works and is not listed.
        """
        noun, _, verb = path.rpartition(" ")
        into = self._groups[noun] if noun else self._top
        listed: dict[str, Any] = {} if about is None else {"help": about}
        parser: argparse.ArgumentParser = into.add_parser(
            verb, aliases=list(aliases), parents=[self._common], **listed
        )
        parser.set_defaults(run=run, parser=self)
        self._commands[path] = parser
        return parser

    def flags(self) -> Iterator[tuple[str, tuple[str, ...]]]:
        """Yield each command with its flags, for shells that complete them."""
        for path, parser in self._commands.items():
            yield path, tuple(flag for a in parser._actions for flag in a.option_strings)  # noqa: SLF001  argparse shows them nowhere else

    def parse(self, arguments: Sequence[str]) -> argparse.Namespace:
        """Parse, or print help or an error and exit."""
        defaults = argparse.Namespace(
            config=None, output="table", force=False, socket=None, address=None
        )
        _Parser.arguments = arguments
        return self._parser.parse_args(list(arguments), defaults)


def _asks_for_json(arguments: Sequence[str]) -> bool:
    given = [
        following if flag in {"-o", "--output"} else flag.partition("=")[2] or flag[2:]
        for flag, following in zip_longest(arguments, arguments[1:], fillvalue="")
        if flag.startswith(("-o", "--output"))
    ]
    return any(form in {"json", "json-line"} for form in given)


def listed(text: str) -> list[str]:
    """Return the parts of a list with commas."""
    return [part.strip() for part in text.split(",") if part.strip()]
