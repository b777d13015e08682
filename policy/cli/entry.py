"""From a command line to an exit code."""

from __future__ import annotations

import gc
import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING

from policy.cli.commands import COMMANDS
from policy.cli.console import Console
from policy.cli.exit_codes import CANNOT_RUN, CLEAN, INTERRUPTED, CannotRunError
from policy.nearest import nearest

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["run", "run_process"]

_ALLOCATIONS = 200_000
"""How many new objects are made between two collections of garbage: most runs make fewer."""


def run_process() -> int:
    """Run the command line of this process."""
    gc.set_threshold(_ALLOCATIONS, 20, 50)
    # Text of a policy may hold what the terminal's encoding has no character for.
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    console = Console(sys.stdin.buffer, sys.stdout, sys.stderr, os.environ)
    try:
        code = run(sys.argv[1:], console)
        sys.stdout.flush()
        # The interpreter looks for garbage once more as it ends: a tenth of a small check.
        gc.freeze()
    except BrokenPipeError:
        # Whoever read us has enough. What is left in the buffer must not be written at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return CANNOT_RUN
    except OSError as error:
        # A full disk or a closed terminal: standard error may still work.
        console.complain(f"cannot write: {error.strerror}")
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return CANNOT_RUN
    return code


def run(arguments: Sequence[str], console: Console) -> int:
    """Run a command line and return its exit code; raises only what writing to a stream raises."""
    try:
        return _dispatch(arguments, console)
    except CannotRunError as error:
        console.complain(str(error))
        return CANNOT_RUN
    except KeyboardInterrupt:
        console.complain("interrupted")
        return INTERRUPTED
    except (BrokenPipeError, SystemExit):
        raise
    except Exception as error:
        # A fault of ours, told as such and not as a traceback.
        if console.environ.get("POLICY_TRACEBACK"):
            raise
        console.complain(
            f"internal fault (POL901): {type(error).__name__}: {error}."
            " Set POLICY_TRACEBACK=1 for the traceback, and please report it"
        )
        return CANNOT_RUN


def _dispatch(arguments: Sequence[str], console: Console) -> int:
    name = arguments[0] if arguments else "--help"
    command = COMMANDS.get(name)
    if command is not None:
        from policy.cli.arguments import HelpShownError  # noqa: PLC0415  see `_help`

        try:
            code: int = import_module(command.module).run(arguments[1:], console)
        except HelpShownError:
            return CLEAN
        return code
    match name:
        case "--help" | "-h" | "help":
            console.write(_help())
            return CLEAN if arguments else CANNOT_RUN
        case "--version" | "-V":
            from policy.report.version import product_version  # noqa: PLC0415  it reads metadata

            console.write(f"policy {product_version()}\n")
            return CLEAN
    close = nearest(name, COMMANDS)
    hint = f"did you mean `{close}`?" if close else "see `policy --help`"
    raise CannotRunError(f"there is no subcommand `{name}`; {hint}")


def _help() -> str:
    listed = "\n".join(f"  {name:<9} {command.summary}" for name, command in COMMANDS.items())
    return f"""\
usage: policy COMMAND [OPTIONS] ...

Access policies of a private mesh network, offline: no key, no server, no network.

commands:
{listed}

`policy COMMAND --help` tells more about each, with examples.

  policy check policy.hujson
  policy test policy.hujson --inventory inventory.json
  policy explain policy.hujson ann@corp.test tag:web:443 --inventory inventory.json

options:
  --help, -h     print this
  --version, -V  print the version

exit codes:
  0  clean
  1  findings: an invalid policy, a failing test, a file that would be reformatted, denied access
  2  could not run: wrong usage, an unreadable file, an internal fault
  3  undecided: the answer depends on an inventory that was not given
"""
