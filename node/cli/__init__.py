"""The `postern` command: finds its subcommands among the installed entry points.

Rooms register subcommands in the group `postern.commands`; each is a callable that takes the
remaining arguments and returns an exit status. Nothing is imported but the one that runs.
"""

from __future__ import annotations

import sys
from importlib.metadata import EntryPoint, entry_points

GROUP = "postern.commands"
_BUILT_IN = tuple(
    EntryPoint(name, place, GROUP)
    for name, place in (
        ("up", "node.cli.up:main"),
        ("down", "node.cli.verbs:down"),
        ("logout", "node.cli.verbs:logout"),
        ("status", "node.cli.status:main"),
        ("access", "node.cli.access:main"),
        ("ip", "node.cli.verbs:ip"),
        ("ping", "node.cli.ping:main"),
        ("netcheck", "node.cli.netcheck:main"),
        ("whois", "node.cli.verbs:whois"),
        ("wait", "node.cli.verbs:wait"),
        ("debug", "node.cli.debug:main"),
        ("metrics", "node.cli.verbs:metrics"),
        ("version", "node.cli.verbs:version"),
        ("via", "node.cli.via:main"),
        ("demo", "node.cli.demo:main"),
        ("agent", "node.cli.agent:main"),
        ("wg", "node.cli.wg:main"),
        # Named, not imported: the servers' own command lines.
        ("control", "control.cli:main"),
        ("policy", "control.cli:policy_main"),
        ("relay", "relay.cli:main"),
    )
)
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
    usage = f"usage: postern COMMAND ...\n\ncommands: {', '.join(known)}"
    if given and given[0] in ("-h", "--help"):
        print(usage)
        return 0
    if given:
        print(f"postern: no command {given[0]!r}", file=sys.stderr)
    print(usage, file=sys.stderr)
    return _USAGE_STATUS


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
