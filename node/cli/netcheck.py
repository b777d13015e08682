"""`postern netcheck`: what the network around us lets through, and which relay is nearest."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from node.cli.agent_flags import ask_agent, parser_for, run_command

if TYPE_CHECKING:
    import argparse

__all__ = ["main"]


def main(arguments: list[str]) -> int:
    """Run `postern netcheck`. Returns its exit status."""
    parser = parser_for("netcheck", "Measure the relays and the network in between.")
    parser.add_argument(
        "--format",
        choices=("text", "json", "json-line"),
        default="text",
        help="json has latencies in nanoseconds",
    )
    return run_command("netcheck", _netcheck, parser.parse_args(arguments))


def _netcheck(options: argparse.Namespace) -> int:
    answer = ask_agent(options, "GET", "/netcheck")
    match options.format:
        case "json":
            print(json.dumps(answer["report"], indent="\t"))
        case "json-line":
            print(json.dumps(answer["report"]))
        case _:
            print(answer["text"], end="")
            if answer["hint"]:
                print(answer["hint"], file=sys.stderr)
    return 0
