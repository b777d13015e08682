"""The `postern` command: finds its subcommands among the installed entry points.

Rooms register subcommands in the group `postern.commands`; each is a callable that takes the
remaining arguments and returns an exit status. Nothing is imported but the one that runs.
"""

from __future__ import annotations

import sys
from difflib import get_close_matches
from importlib.metadata import EntryPoint, entry_points

GROUP = "postern.commands"
_GROUPS = {
    "this machine in a network": {
        "up": ("node.cli.up:main", "connect, and change what this machine does"),
        "down": ("node.cli.verbs:down", "disconnect; the login is kept"),
        "logout": ("node.cli.verbs:logout", "disconnect and end the node key's life"),
        "status": ("node.cli.status:main", "this node, its peers, and what is wrong"),
        "access": ("node.cli.access:main", "what may be reached by which policy line, and denials"),
        "ip": ("node.cli.verbs:ip", "addresses of this node or of a peer"),
        "ping": ("node.cli.ping:main", "is a peer there, and directly or by relay"),
        "netcheck": ("node.cli.netcheck:main", "what the network around does to UDP"),
        "whois": ("node.cli.verbs:whois", "which node and user an address belongs to"),
        "wait": ("node.cli.verbs:wait", "wait until this node is connected"),
        "debug": ("node.cli.debug:main", "netmap, filter, flows, paths, captures"),
        "metrics": ("node.cli.verbs:metrics", "counters for Prometheus"),
        "via": ("node.cli.via:main", "the 4via6 prefix of a subnet at a site"),
        "agent": ("node.cli.agent:main", "run the agent itself, as systemd does"),
    },
    "without a control server": {
        "demo": ("node.cli.demo:main", "a whole network on this machine, and proof of its policy"),
        "wg": ("node.cli.wg:main", "plain WireGuard on wg-quick files, with an optional filter"),
    },
    "servers": {
        # Named, not imported: the servers' own command lines.
        "control": ("control.cli:main", "the coordination server: users, nodes, keys"),
        "policy": ("control.cli:policy_main", "the policy in force at the coordination server"),
        "relay": ("relay.cli:main", "a DERP relay with STUN"),
    },
    "about": {"version": ("node.cli.verbs:version", "the version of this program and the agent")},
}
_BUILT_IN = tuple(
    EntryPoint(name, place, GROUP)
    for group in _GROUPS.values()
    for name, (place, _) in group.items()
)
_LEARN = """\
`postern COMMAND --help` tells more about each. To see everything at work: `postern demo`.

  postern up --login-server https://control.example.com
  postern access
  postern policy set -f policy.hujson

The command `policy` checks and tests policy files offline."""
_USAGE_STATUS = 1
_CANNOT_RUN = 2
_OURS = frozenset({"policy", "engine", "node", "control", "relay"})


def commands() -> dict[str, EntryPoint]:
    """Return the subcommands by name, ours first."""
    found = {entry.name: entry for entry in sorted(entry_points(group=GROUP))}
    return {entry.name: entry for entry in _BUILT_IN} | found


def main(arguments: list[str] | None = None) -> int:
    """Run `postern`. Returns its exit status."""
    given = sys.argv[1:] if arguments is None else arguments
    # Asking what is installed takes longer than most commands: only for names that are not ours.
    known = {entry.name: entry for entry in _BUILT_IN}
    if not given or given[0] not in known:
        known = commands()
    if given and given[0] in known:
        return _run(known[given[0]], given[1:])
    if given and given[0] in ("-h", "--help"):
        print(_help(known))
        return 0
    if given:
        near = get_close_matches(given[0], known, 1)
        hint = f"; did you mean `{near[0]}`?" if near else "; see postern --help"
        print(f"postern: no command {given[0]!r}{hint}", file=sys.stderr)
    else:
        print(_help(known), file=sys.stderr)
    return _USAGE_STATUS


def _help(known: dict[str, EntryPoint]) -> str:
    lines = ["usage: postern COMMAND [OPTIONS] ..."]
    ours = {entry.name for entry in _BUILT_IN}
    others = {name: (entry.value, entry.value) for name, entry in known.items() if name not in ours}
    for title, group in {**_GROUPS, "installed beside": others}.items():
        if group:
            lines += ["", f"{title}:"]
            lines += [f"  {name:<9} {about}" for name, (_, about) in group.items()]
    return "\n".join([*lines, "", _LEARN])


def _run(command: EntryPoint, arguments: list[str]) -> int:
    try:
        run = command.load()
    except ModuleNotFoundError as error:
        # The policy tools install alone; what the network needs comes with extras.
        if (error.name or "").partition(".")[0] in _OURS:
            raise
        print(
            f"postern {command.name}: needs the package {error.name}, which is not installed;"
            " install it with: pip install 'postern[all]'",
            file=sys.stderr,
        )
        return _CANNOT_RUN
    return int(run(arguments))
