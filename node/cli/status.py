"""`postern status`: this node and its peers."""

from __future__ import annotations

import argparse
import json
from datetime import UTC, datetime
from typing import Any

from node.cli.agent_flags import ask_agent, parser_for, run_command

__all__ = ["main", "render_status"]

_NOT_RUNNING = {
    "Stopped": "Postern is stopped.",
    "NeedsLogin": "Logged out.",
    "NeedsMachineAuth": "Machine is not yet approved by tailnet admin.",
    "Starting": "Postern is starting.",
    "NoState": "Postern is starting.",
}


def main(arguments: list[str]) -> int:
    """Run `postern status`. Returns its exit status."""
    parser = parser_for("status", "Show this node, its peers and how they are reached.")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--active", action="store_true", help="only peers with a live session")
    switch = argparse.BooleanOptionalAction
    parser.add_argument("--self", dest="shows_self", action=switch, default=True)
    parser.add_argument("--peers", action=switch, default=True)
    return run_command("status", _status, parser.parse_args(arguments))


def _status(options: argparse.Namespace) -> int:
    status = ask_agent(options, "GET", "/status")
    status["Peer"] = {
        key: peer
        for key, peer in status["Peer"].items()
        if options.peers and (peer["Active"] or not options.active)
    }
    if options.json:
        print(json.dumps(status, indent=2))
        return 0
    print(render_status(status, shows_self=options.shows_self))
    return 0 if status["BackendState"] == "Running" else 1


def render_status(status: dict[str, Any], *, shows_self: bool = True) -> str:
    """Return the table, or why there is none."""
    lines: list[str] = []
    if status["BackendState"] != "Running":
        lines.append(_NOT_RUNNING.get(status["BackendState"], status["BackendState"]))
        if status["AuthURL"]:
            lines.append(f"Log in at: {status['AuthURL']}")
    else:
        peers = sorted(status["Peer"].values(), key=lambda peer: peer["DNSName"])
        shown = (status["Self"], *peers) if shows_self else peers
        rows = [_row(status, node, is_self=node is status["Self"]) for node in shown]
        widths = [max((len(row[column]) for row in rows), default=0) for column in range(4)]
        for row in rows:
            cells = [row[column].ljust(widths[column]) for column in range(4)]
            lines.append("  ".join((*cells, row[4])).rstrip())
    if status["Health"]:
        lines += ["", "# Health check:", *(f"#     - {text}" for text in status["Health"])]
    return "\n".join(lines)


def _row(status: dict[str, Any], node: dict[str, Any], *, is_self: bool) -> tuple[str, ...]:
    user = status["User"].get(str(node["UserID"]), {})
    owner = "tagged-devices" if node["Tags"] else f"{user.get('LoginName', '').partition('@')[0]}@"
    return (
        (node["TailscaleIPs"] or ["-"])[0],
        node["DNSName"].partition(".")[0] or node["HostName"],
        owner,
        node["OS"],
        "-" if is_self else _state(node),
    )


def _state(node: dict[str, Any]) -> str:
    traffic = ""
    if node["TxBytes"] or node["RxBytes"]:
        traffic = f", tx {node['TxBytes']} rx {node['RxBytes']}"
    exit_node = (
        "exit node; "
        if node["ExitNode"]
        else ("offers exit node; " if node["ExitNodeOption"] else "")
    )
    if node["Active"]:
        way = f"direct {node['CurAddr']}" if node["CurAddr"] else f'relay "{node["Relay"]}"'
        state = f"active; {exit_node}{way}"
    elif traffic:
        state = "idle" + (f"; {exit_node.rstrip('; ')}" if exit_node else "")
    else:
        state = exit_node.rstrip("; ") or "-"
    offline = "" if node["Online"] else f"offline{_last_seen(node['LastSeen'])}"
    if state == "-":
        return offline or "-"
    return state + (f"; {offline}" if offline else "") + traffic


def _last_seen(text: str) -> str:
    """Return how long ago a node was there, empty where that is not known."""
    seen = datetime.fromisoformat(text)
    if seen.year == 1:
        return ""
    seconds = int((datetime.now(UTC) - seen).total_seconds())
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= size:
            return f", last seen {seconds // size}{unit} ago"
    return ", last seen just now"
