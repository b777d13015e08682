"""`postern relay …`: the commands of a relay operator."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from relay.cli import serve

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status (0 done, 1 could not, 2 wrong usage)."""
    parser = argparse.ArgumentParser(prog="postern relay", description="Run a DERP relay.")
    commands = parser.add_subparsers(dest="command", required=True)
    serve.add_parser(commands)
    arguments = parser.parse_args(sys.argv[1:] if argv is None else argv)
    return serve.run(arguments)
