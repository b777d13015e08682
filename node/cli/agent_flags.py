"""What the agent's commands share: which agent, how to ask it, how to end."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from node.localapi.client import LocalApiError, ask_at
from node.state.directory import StateDirectory, StateError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["add_state_flag", "ask_agent", "parser_for", "run_command", "state_directory"]

DIRECTORY_VARIABLE = "POSTERN_STATE_DIR"
_DEFAULT_DIRECTORY = "/var/lib/postern"
_TIMEOUT_S = 30.0


def parser_for(command: str, about: str) -> argparse.ArgumentParser:
    """Return a parser with the flags that every command has."""
    parser = argparse.ArgumentParser(prog=f"postern {command}", description=about)
    add_state_flag(parser, Path(os.environ.get(DIRECTORY_VARIABLE, _DEFAULT_DIRECTORY)))
    return parser


def add_state_flag(parser: argparse.ArgumentParser, default: Path | str) -> None:
    """Add `--state-dir`; a parser below another has the default `argparse.SUPPRESS`."""
    shown = "" if default == argparse.SUPPRESS else " or %(default)s"
    parser.add_argument(
        "--state-dir",
        type=Path,
        default=default,
        metavar="DIR",
        help=f"which agent of this machine (default: ${DIRECTORY_VARIABLE}{shown})",
    )


def state_directory(options: argparse.Namespace) -> StateDirectory:
    """Return the agent's directory."""
    return StateDirectory(options.state_dir)


def ask_agent(options: argparse.Namespace, method: str, path: str, value: object = None) -> Any:
    """Return the JSON answer of the agent. Raises LocalApiError."""
    directory = state_directory(options)
    body = None if value is None else json.dumps(value)
    answer = ask_at(directory.socket, str(directory.path), method, path, body, timeout_s=_TIMEOUT_S)
    return json.loads(answer)


def run_command(
    command: str, run: Callable[[argparse.Namespace], int], options: argparse.Namespace
) -> int:
    """Run a command; trouble is one line and status 1."""
    try:
        return run(options)
    except (LocalApiError, StateError, OSError, ValueError) as error:
        print(f"postern {command}: {error}", file=sys.stderr)
    except KeyboardInterrupt:
        print(file=sys.stderr)
    return 1
