"""The short commands: `down`, `logout`, `ip`, `wait`, `version`, `metrics`, `whois`."""

from __future__ import annotations

import ipaddress
import json
import sys
import time
from typing import TYPE_CHECKING, Any

from node.cli.agent_flags import ask_agent, parser_for, run_command, state_directory
from node.dns.resolv_conf import recover
from node.localapi.client import LocalApiError, ask_at
from node.state.directory import StateError

if TYPE_CHECKING:
    import argparse

__all__ = ["down", "ip", "logout", "metrics", "version", "wait", "whois"]

_POLL_S = 0.1


def down(arguments: list[str]) -> int:
    """Run `postern down`."""
    parser = parser_for("down", "Disconnect; the login is kept.")
    parser.add_argument("--stop-agent", action="store_true", help="end the agent as well")
    parser.add_argument(
        "--cleanup",
        action="store_true",
        help="with no agent running: put back what one that was killed left behind in this host",
    )
    parser.add_argument("--interface", default="postern0", help="of the agent that was killed")
    return run_command("down", _down, parser.parse_args(arguments))


def _down(options: argparse.Namespace) -> int:
    if options.cleanup and not _is_running(options):
        return _clean_up(options)
    if ask_agent(options, "GET", "/state")["state"] == "Stopped" and not options.stop_agent:
        print("Postern was already stopped.", file=sys.stderr)
        return 0
    ask_agent(options, "POST", "/down")
    if options.stop_agent:
        ask_agent(options, "POST", "/stop")
    return 0


def _is_running(options: argparse.Namespace) -> bool:
    try:
        ask_agent(options, "GET", "/state")
    except LocalApiError:
        return False
    return True


def _clean_up(options: argparse.Namespace) -> int:
    # Here and not above: netlink takes longer to import than all short commands together.
    from node.hostnet.host import HostNetwork  # noqa: PLC0415  see above

    directory = state_directory(options)
    if not directory.path.is_dir():
        raise StateError(f"{directory.path}: no such directory; name the agent's --state-dir")
    with directory.held():
        recovered = recover(directory)
        HostNetwork(options.interface).clear()
    print(f"{recovered}: restored" if recovered is not None else "The resolver was in order.")
    return 0


def logout(arguments: list[str]) -> int:
    """Run `postern logout`."""
    parser = parser_for("logout", "Disconnect and end the node key's life.")

    def run(options: argparse.Namespace) -> int:
        ask_agent(options, "POST", "/logout")
        return 0

    return run_command("logout", run, parser.parse_args(arguments))


def ip(arguments: list[str]) -> int:
    """Run `postern ip`."""
    parser = parser_for("ip", "Print the tailnet addresses of this node, or of a peer.")
    parser.add_argument("peer", nargs="?", default="")
    parser.add_argument("-4", dest="family", action="store_const", const=4)
    parser.add_argument("-6", dest="family", action="store_const", const=6)
    parser.add_argument("-1", dest="first", action="store_true", help="print one only")
    parser.add_argument(
        "--assert", dest="asserted", metavar="IP", help="fail unless this is one of the addresses"
    )
    return run_command("ip", _ip, parser.parse_args(arguments))


def _ip(options: argparse.Namespace) -> int:
    status = ask_agent(options, "GET", "/status")
    node = _node(status, options.peer)
    wanted = {4: ".", 6: ":"}.get(options.family, "")
    found = [text for text in node["TailscaleIPs"] or () if wanted in text]
    if options.asserted is not None:
        wanted_ip = ipaddress.ip_address(options.asserted)
        if wanted_ip not in map(ipaddress.ip_address, found):
            raise LocalApiError(f"{wanted_ip} is not among {', '.join(found) or 'no addresses'}")
        return 0
    if not found:
        raise LocalApiError(f"no IPv{options.family or '4 or IPv6'} address")
    print("\n".join(found[:1] if options.first else found))
    return 0


def _node(status: dict[str, Any], name: str) -> dict[str, Any]:
    own = status["Self"]
    if own is None:
        raise LocalApiError("not connected; run `postern up`")
    if not name:
        return dict(own)
    wanted = name.rstrip(".").lower()
    for node in (own, *status["Peer"].values()):
        full = node["DNSName"].rstrip(".").lower()
        if wanted in {full, full.partition(".")[0], *node["TailscaleIPs"]}:
            return dict(node)
    raise LocalApiError(f"{name}: no such node")


def wait(arguments: list[str]) -> int:
    """Run `postern wait`."""
    parser = parser_for("wait", "Wait until this node is connected.")
    parser.add_argument("--timeout", type=float, default=0.0, metavar="SECONDS")
    return run_command("wait", _wait, parser.parse_args(arguments))


def _wait(options: argparse.Namespace) -> int:
    end = time.monotonic() + options.timeout if options.timeout else float("inf")
    while ask_agent(options, "GET", "/state")["state"] != "Running":
        if time.monotonic() > end:
            raise LocalApiError(f"not connected after {options.timeout:g} s")
        time.sleep(_POLL_S)
    return 0


def version(arguments: list[str]) -> int:
    """Run `postern version`."""
    from importlib.metadata import version as installed  # noqa: PLC0415  one command's need

    parser_for("version", "Print the version.").parse_args(arguments)
    print(installed("postern"))
    return 0


def metrics(arguments: list[str]) -> int:
    """Run `postern metrics`."""
    parser = parser_for("metrics", "Print the agent's counters for Prometheus.")

    def run(options: argparse.Namespace) -> int:
        directory = state_directory(options)
        answer = ask_at(directory.socket, str(directory.path), "GET", "/metrics")
        print(answer.decode(), end="")
        return 0

    return run_command("metrics", run, parser.parse_args(arguments))


def whois(arguments: list[str]) -> int:
    """Run `postern whois`."""
    parser = parser_for("whois", "Say which node and user an address belongs to.")
    parser.add_argument("address", metavar="IP[:PORT]")
    parser.add_argument("--json", action="store_true")
    return run_command("whois", _whois, parser.parse_args(arguments))


def _whois(options: argparse.Namespace) -> int:
    found = ask_agent(options, "GET", f"/whois?address={options.address}")
    if options.json:
        print(json.dumps(found, indent=2))
        return 0
    node, user = found["Node"], found["UserProfile"]
    print("Machine:")
    print(f"  Name:          {node['Name'].rstrip('.')}")
    print(f"  ID:            {node['StableID']}")
    print(f"  Addresses:     {', '.join(node['Addresses'])}")
    if node["Tags"]:
        print(f"  Tags:          {', '.join(node['Tags'])}")
    print("User:")
    print(f"  Name:          {user['LoginName']}")
    print(f"  ID:            {user['ID']}")
    return 0
