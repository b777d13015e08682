"""The `policy` command: check, test, format, compile and explain policies, offline.

Exit codes mean the same for every subcommand: 0 clean, 1 findings, 2 could not run, 3 undecided.
"""

from __future__ import annotations

__all__ = ["main"]


def main() -> int:
    """Run the command line of this process; return its exit code."""
    # Imported here: `policy.cli` is the parent of modules that do not need all this.
    from policy.cli.entry import run_process  # noqa: PLC0415

    return run_process()
