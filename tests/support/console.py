"""Runs the `policy` command inside the test, with streams of its own."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, NamedTuple

from policy.cli.console import Console
from policy.cli.entry import run

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Ran", "console", "run_policy"]


class Ran(NamedTuple):
    """What a run came to."""

    code: int
    stdout: str
    stderr: str

    def json(self) -> Any:
        import json  # noqa: PLC0415  one format of several

        return json.loads(self.stdout)


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def console(
    stdin: bytes = b"", environ: Mapping[str, str] | None = None, *, terminal: bool = False
) -> Console:
    """Return a console that keeps what is written."""
    stream = Terminal if terminal else io.StringIO
    return Console(io.BytesIO(stdin), stream(), stream(), environ or {})


def run_policy(
    *arguments: object,
    stdin: bytes = b"",
    environ: Mapping[str, str] | None = None,
    terminal: bool = False,
) -> Ran:
    """Run a command line; faults of the tool are raised rather than told."""
    used = console(stdin, {"POLICY_TRACEBACK": "1", **(environ or {})}, terminal=terminal)
    code = run([str(argument) for argument in arguments], used)
    assert isinstance(used.stdout, io.StringIO)
    assert isinstance(used.stderr, io.StringIO)
    return Ran(code, used.stdout.getvalue(), used.stderr.getvalue())
