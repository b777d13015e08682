"""Flags that every command has, and how commands and their aliases are declared."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["Parser"]


class Parser:
    """A command with subcommands, two levels deep; global flags may stand anywhere."""

    def __init__(self, program: str, about: str) -> None:
        self._common = argparse.ArgumentParser(add_help=False)
        add = self._common.add_argument
        add("-c", "--config", type=Path, default=argparse.SUPPRESS, help="configuration file")
        add(
            "-o",
            "--output",
            choices=("table", "json", "json-line", "yaml"),
            default=argparse.SUPPRESS,
        )
        add("--force", action="store_true", default=argparse.SUPPRESS, help="ask nothing")
        add("--socket", type=Path, default=argparse.SUPPRESS, help="socket of the local server")
        add("--address", default=argparse.SUPPRESS, help="URL of a remote server")
        self._parser = argparse.ArgumentParser(
            prog=program, description=about, parents=[self._common]
        )
        self._top = self._parser.add_subparsers(required=True, metavar="COMMAND")
        self._groups: dict[str, Any] = {}

    def group(self, name: str, about: str, *aliases: str) -> None:
        """Declare a noun that has verbs."""
        parser = self._top.add_parser(
            name, help=about, aliases=list(aliases), parents=[self._common]
        )
        self._groups[name] = parser.add_subparsers(required=True, metavar="ACTION")

    def command(
        self, path: str, about: str, run: Callable[..., int | None], *, aliases: Sequence[str] = ()
    ) -> argparse.ArgumentParser:
        """Declare `verb` or `noun verb`; returns its parser for flags of its own."""
        noun, _, verb = path.rpartition(" ")
        into = self._groups[noun] if noun else self._top
        parser: argparse.ArgumentParser = into.add_parser(
            verb, help=about, aliases=list(aliases), parents=[self._common]
        )
        parser.set_defaults(run=run)
        return parser

    def parse(self, arguments: Sequence[str]) -> argparse.Namespace:
        """Parse, or print help or an error and exit."""
        defaults = argparse.Namespace(
            config=None, output="table", force=False, socket=None, address=None
        )
        return self._parser.parse_args(list(arguments), defaults)
