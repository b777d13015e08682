"""`postern debug`: what the agent was told, what it does with packets, how peers are reached."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from node.cli.agent_flags import add_state_flag, ask_agent, parser_for, run_command

__all__ = ["main"]

_SHOWN = {
    "netmap": ("/debug/netmap", "the netmap in force, as one message of the map stream"),
    "filter": ("/debug/filter", "the packet filter, its lines of the policy, its counters"),
    "flows": ("/flows", "live flows and the policy rule that lets each be"),
    "paths": ("/debug/paths", "how each peer is reached, and the addresses that were tried"),
    "derp-map": ("/debug/derp-map", "the relays"),
    "prefs": ("/preferences", "the settings"),
}


def main(arguments: list[str]) -> int:
    """Run `postern debug ...`. Returns its exit status."""
    parser = parser_for("debug", "Look under the hood of the agent. No secret is ever printed.")
    actions = parser.add_subparsers(required=True, metavar="WHAT", dest="what")
    for name, (path, about) in _SHOWN.items():
        actions.add_parser(name, help=about).set_defaults(run=_show, path=path)
    capture = actions.add_parser("capture", help="record packets in pcapng, for Wireshark")
    capture.add_argument("file", nargs="?", type=Path, metavar="FILE", help="none: stop")
    capture.add_argument("--only", choices=("all", "allowed", "dropped"), default="all")
    capture.set_defaults(run=_capture)
    level = actions.add_parser("log-level", help="how much the agent writes to its log")
    level.add_argument("level", choices=("debug", "info", "warning", "error"))
    level.set_defaults(run=_log_level)
    for action in actions.choices.values():
        add_state_flag(action, argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    return run_command(f"debug {options.what}", options.run, options)


def _show(options: argparse.Namespace) -> int:
    print(json.dumps(ask_agent(options, "GET", options.path), indent=2))
    return 0


def _capture(options: argparse.Namespace) -> int:
    if options.file is None:
        ask_agent(options, "DELETE", "/debug/capture")
    else:
        wanted = {"file": str(options.file.resolve()), "what": options.only}
        ask_agent(options, "PUT", "/debug/capture", wanted)
    return 0


def _log_level(options: argparse.Namespace) -> int:
    ask_agent(options, "PUT", "/debug/log-level", {"level": options.level})
    return 0
