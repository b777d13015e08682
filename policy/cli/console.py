"""The streams and the environment of a run, injected so that a run can be watched in a test."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO, TextIO

from policy.cli.exit_codes import CannotRunError
from policy.report.style import Style
from policy.report.text import one_line

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["COLOURS", "Console"]

COLOURS = ("auto", "always", "never")


class Console:
    """Where a run reads, writes and complains."""

    def __init__(
        self, stdin: BinaryIO, stdout: TextIO, stderr: TextIO, environ: Mapping[str, str]
    ) -> None:
        self.stdin = stdin
        self.stdout = stdout
        self.stderr = stderr
        self.environ = environ

    def write(self, text: str) -> None:
        """Write what was asked for. Raises CannotRunError, or BrokenPipeError."""
        try:
            self.stdout.write(text)
        except BrokenPipeError:
            raise
        except OSError as error:
            raise CannotRunError(f"cannot write: {error.strerror}") from error

    def complain(self, message: str) -> None:
        """Write one line that is no part of what was asked for."""
        self.stderr.write(f"policy: {one_line(message)}\n")

    @property
    def is_on_github(self) -> bool:
        """Whether this is a job of GitHub Actions whose log nobody reads as it is written."""
        return self.environ.get("GITHUB_ACTIONS") == "true" and not self.stdout.isatty()

    def style(self, colour: str, stream: TextIO | None = None) -> Style:
        """Decide on colours for what is written to `stream`, standard output by default.

        `NO_COLOR` beats `FORCE_COLOR`, as <https://no-color.org> wants it, and an option of the
        command line beats both.
        """
        if colour != "auto":
            return Style(is_coloured=colour == "always")
        environ = self.environ
        if environ.get("NO_COLOR"):
            return Style(is_coloured=False)
        if environ.get("FORCE_COLOR") or environ.get("CLICOLOR_FORCE"):
            return Style(is_coloured=True)
        is_terminal = (stream or self.stdout).isatty() and environ.get("TERM") != "dumb"
        return Style(is_coloured=is_terminal)
