"""`postern ping`: is a peer there, and does the way lead straight to it."""

from __future__ import annotations

import argparse
import sys
import time

from node.cli.agent_flags import ask_agent, parser_for, run_command

__all__ = ["main"]

_INTERVAL_S = 1.0


def main(arguments: list[str]) -> int:
    """Run `postern ping`. Returns its exit status."""
    parser = parser_for("ping", "Ping a peer below the tunnel, until the path is direct.")
    parser.add_argument("target", metavar="HOST")
    parser.add_argument("-c", dest="count", type=int, default=10, help="pings at most")
    parser.add_argument("--until-direct", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--timeout", type=float, default=5.0, metavar="SECONDS")
    return run_command("ping", _ping, parser.parse_args(arguments))


def _ping(options: argparse.Namespace) -> int:
    answered = False
    for number in range(options.count):
        if number:
            time.sleep(_INTERVAL_S)
        asked = {"target": options.target, "timeout_s": options.timeout}
        answer = ask_agent(options, "POST", "/ping", asked)
        if answer.get("error"):
            print(f'ping "{options.target}" timed out', flush=True)
            continue
        answered = True
        way = answer["endpoint"] or f"DERP({answer['relay']})"
        host = answer["name"].partition(".")[0]
        shown = f"{answer['latency_ms']:.0f}ms" if answer["latency_ms"] >= 1 else "<1ms"
        print(f"pong from {host} ({answer['address']}) via {way} in {shown}", flush=True)
        if answer["endpoint"] and options.until_direct:
            return 0
    if not answered:
        print("no reply", file=sys.stderr)
        return 1
    if options.until_direct:
        print("direct connection not established", file=sys.stderr)
        return 1
    return 0
