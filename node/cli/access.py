"""`postern access`: who may reach this node by which rule, and what was refused lately."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from node.cli.agent_flags import ask_agent, parser_for, run_command

if TYPE_CHECKING:
    import argparse

__all__ = ["main", "render_access"]

_DENIALS_SHOWN = 10


def main(arguments: list[str]) -> int:
    """Run `postern access`. Returns its exit status."""
    parser = parser_for("access", "Show who may reach this node, and the last denials.")
    parser.add_argument("--json", action="store_true")
    return run_command("access", _access, parser.parse_args(arguments))


def _access(options: argparse.Namespace) -> int:
    found = ask_agent(options, "GET", "/access")
    print(json.dumps(found, indent=2) if options.json else render_access(found))
    return 0


def render_access(found: dict[str, Any]) -> str:
    """Return the text form."""
    lines = ["Who may reach this node:"]
    for rule in found["inbound"]:
        who = ", ".join(rule["from"]) or ", ".join(rule["sources"])
        policy = rule["policy"]
        where = (
            f"  [{policy['section']}[{policy['index']}], line {policy['line']}]" if policy else ""
        )
        lines.append(
            f"  {who} -> {', '.join(rule['destinations'])} ({', '.join(rule['protocols'])}){where}"
        )
    if not found["inbound"]:
        lines.append("  nobody")
    lines += [
        "",
        "Nodes that the policy connects with this one: " + (", ".join(found["peers"]) or "none"),
    ]
    lines += ["", "Refused lately:"]
    recent = found["denials"][-_DENIALS_SHOWN:]
    for denial in recent:
        source = denial["src_name"] or denial["src"]
        lines.append(f"  {denial['age_s']:.0f} s ago  {source}: {denial['text']}")
    if not recent:
        lines.append("  nothing")
    return "\n".join(lines)
