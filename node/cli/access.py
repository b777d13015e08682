"""`postern access`: what this node may reach and who may reach it, by which lines of the policy."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from node.cli.agent_flags import ask_agent, parser_for, run_command

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable

__all__ = ["main", "render_access"]

_DECISIONS_SHOWN = 10
_NAMES_SHOWN = 12


def main(arguments: list[str]) -> int:
    """Run `postern access`. Returns its exit status."""
    parser = parser_for(
        "access",
        "Show what this node may reach, who may reach it, by which lines of the policy, and what"
        " was let in and refused lately.",
    )
    parser.add_argument("--json", action="store_true")
    return run_command("access", _access, parser.parse_args(arguments))


def _access(options: argparse.Namespace) -> int:
    found = ask_agent(options, "GET", "/access")
    print(json.dumps(found, indent=2) if options.json else render_access(found))
    return 0


def render_access(found: dict[str, Any]) -> str:
    """Return the text form."""
    return "\n\n".join(
        "\n".join((title, *(f"  {line}" for line in lines or (none,))))
        for title, lines, none in (
            ("This node may reach:", _outbound(found), "nothing"),
            ("Who may reach this node:", list(map(_inbound, found["inbound"])), "nobody"),
            (
                "Nodes that the policy connects with this one:",
                [_some(found["peers"])] if found["peers"] else [],
                "none",
            ),
            ("Let in lately:", _decisions(found, "admissions"), "nothing"),
            ("Refused lately:", _decisions(found, "denials"), "nothing"),
        )
    )


def _outbound(found: dict[str, Any]) -> list[str]:
    if found["outbound"] is None:
        return [f"not known: {found['outbound_unknown']}"]
    lines = []
    for entry in found["outbound"]:
        where = list(entry["destinations"])
        if entry["ports"]:
            where.insert(0, f"{_some(entry['to'])} port {', '.join(entry['ports'])}")
        text = ", ".join(where)
        if not entry["ports"]:
            text += f" via {_some(entry['to'])}"
        lines.append(_line(text, entry))
    return lines


def _inbound(entry: dict[str, Any]) -> str:
    who = _some(entry["from"] or entry["sources"])
    return _line(f"{who} -> {', '.join(entry['destinations'])}", entry)


def _line(text: str, entry: dict[str, Any]) -> str:
    policy = entry["policy"]
    where = f"  [{policy['section']}[{policy['index']}], line {policy['line']}]" if policy else ""
    return f"{text} ({', '.join(entry['protocols'])}){where}"


def _some(names: Iterable[str]) -> str:
    listed = list(names)
    more = len(listed) - _NAMES_SHOWN
    return ", ".join(listed[:_NAMES_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _decisions(found: dict[str, Any], kind: str) -> list[str]:
    return [
        f"{each['age_s']:.0f} s ago  {each['src_name'] or each['src']} -> "
        f"{each['dst_name'] or each['dst']}: {each['text']}"
        for each in found[kind][-_DECISIONS_SHOWN:]
    ]
