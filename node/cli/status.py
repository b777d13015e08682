"""`postern status`: this node and its peers."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from node.cli.agent_flags import ask_agent, parser_for, run_command

if TYPE_CHECKING:
    import argparse

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
    return run_command("status", _status, parser.parse_args(arguments))


def _status(options: argparse.Namespace) -> int:
    status = ask_agent(options, "GET", "/status")
    if options.json:
        print(json.dumps(status, indent=2))
        return 0
    print(render_status(status))
    return 0 if status["BackendState"] == "Running" else 1


def render_status(status: dict[str, Any]) -> str:
    """Return the table, or why there is none."""
    lines: list[str] = []
    if status["BackendState"] != "Running":
        lines.append(_NOT_RUNNING.get(status["BackendState"], status["BackendState"]))
        if status["AuthURL"]:
            lines.append(f"Log in at: {status['AuthURL']}")
    else:
        peers = sorted(status["Peer"].values(), key=lambda peer: peer["DNSName"])
        rows = [
            _row(status, node, is_self=node is status["Self"]) for node in (status["Self"], *peers)
        ]
        widths = [max(len(row[column]) for row in rows) for column in range(4)]
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
    offline = "" if node["Online"] else "offline"
    if state == "-":
        return offline or "-"
    return state + (f"; {offline}" if offline else "") + traffic
