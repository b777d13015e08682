"""`postern up`: joins the mesh, or changes how this machine takes part in it."""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from node.cli.agent_flags import ask_agent, parser_for, run_command, state_directory
from node.localapi.client import LocalApiError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from node.state.directory import StateDirectory

__all__ = ["main"]

_POLL_S = 0.1
_SPELLED = {"true": True, "false": False}
_AGENT_START_S = 15.0
_SETTINGS = (
    "login_server",
    "trusted_ca",
    "hostname",
    "advertise_tags",
    "advertise_routes",
    "advertise_exit_node",
    "accept_routes",
    "exit_node",
    "exit_node_allow_lan_access",
    "accept_dns",
    "shields_up",
    "is_ephemeral",
    "snat_subnet_routes",
)


def main(arguments: list[str]) -> int:
    """Run `postern up`. Returns its exit status."""
    parser = parser_for("up", "Join the mesh. Settings that are not named stay as they are.")
    add = parser.add_argument
    add("--login-server", metavar="URL", help="control server")
    add("--trust", dest="trusted_ca", type=_contents, metavar="CA.pem",
        help="trust this authority for the control server, besides the system's")  # fmt: skip
    add("--auth-key", "--authkey", default="", metavar="KEY", help="or file:PATH")
    add("--hostname", help="name in the tailnet, instead of the host's")
    add("--advertise-tags", type=_listed, metavar="tag:A,tag:B")
    add("--advertise-routes", type=_listed, metavar="CIDR,CIDR")
    switch = _Switch
    add("--advertise-exit-node", action=switch, help="offer to carry traffic to the internet")
    add("--accept-routes", action=switch, help="use the subnets that others route")
    add("--exit-node", metavar="NAME", help="send everything through a node; empty for none")
    add("--exit-node-allow-lan-access", action=switch, help="reach the local network all the same")
    add("--accept-dns", action=switch, help="let the tailnet's names into this host's resolver")
    add("--shields-up", action=switch, help="let nobody in")
    add("--snat-subnet-routes", action=switch, help="hide peers behind this host's address")
    add("--ephemeral", dest="is_ephemeral", action=switch, help="be forgotten at the end")
    add("--force-reauth", action="store_true", help="log in again, with a fresh expiry")
    add("--timeout", type=float, default=0.0, metavar="SECONDS", help="0 waits for ever")
    add("--interface", default="postern0", help="tunnel interface of an agent that is started")
    add("--port", type=int, default=41641, help="UDP port of an agent that is started")
    return run_command("up", _up, parser.parse_args(arguments))


class _Switch(argparse.BooleanOptionalAction):
    """`--name`, `--no-name`, and what other clients' users type: `--name=false`."""

    def __init__(self, option_strings: Sequence[str], dest: str, **options: Any) -> None:
        super().__init__(option_strings, dest, **options)
        self.nargs = "?"

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        """Take the flag, with a value or without."""
        is_negated = (option_string or "").startswith("--no-")
        if values is None:
            setattr(namespace, self.dest, not is_negated)
        elif is_negated or values not in _SPELLED:
            parser.error(f"{option_string}: write it alone, or --{self.dest}=true or =false")
        else:
            setattr(namespace, self.dest, _SPELLED[values])


def _contents(path: str) -> str:
    try:
        return Path(path).read_text("ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise argparse.ArgumentTypeError(f"{path}: {error}") from None


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _up(options: argparse.Namespace) -> int:
    directory = state_directory(options)
    _ensure_agent(options, directory)
    given = {name: getattr(options, name) for name in _SETTINGS}
    ask_agent(
        options,
        "POST",
        "/up",
        {
            "preferences": {name: value for name, value in given.items() if value is not None},
            "auth_key": _auth_key(options.auth_key),
            "must_log_in": options.force_reauth,
        },
    )
    return _wait(options)


def _auth_key(text: str) -> str:
    path = text.removeprefix("file:")
    return text if path == text else Path(path).read_text().strip()


def _ensure_agent(options: argparse.Namespace, directory: StateDirectory) -> None:
    """Start an agent in the background where none answers. Raises LocalApiError."""
    if _answers(options):
        return
    directory.create()
    command = [
        sys.executable, "-c", "import sys; from node.cli import main; sys.exit(main())",
        "agent", "--state-dir", str(directory.path), "--verbose",
        "--interface", options.interface, "--port", str(options.port),
    ]  # fmt: skip
    with directory.log.open("ab") as log:
        directory.log.chmod(0o600)
        agent = subprocess.Popen(  # noqa: S603  ourselves
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
    _until(
        lambda: agent.poll() is not None or _answers(options),
        _AGENT_START_S,
        f"the agent does not start; see {directory.log}",
    )
    if agent.poll() is not None:
        last = directory.log.read_text(errors="replace").strip().splitlines()[-1:]
        raise LocalApiError(f"the agent stopped: {''.join(last)}")


def _answers(options: argparse.Namespace) -> bool:
    try:
        ask_agent(options, "GET", "/state")
    except LocalApiError:
        return False
    return True


def _wait(options: argparse.Namespace) -> int:
    shown, told = "", set[str]()
    end = time.monotonic() + options.timeout if options.timeout else float("inf")
    while True:
        found: dict[str, Any] = ask_agent(options, "GET", "/state")
        if found["state"] == "Running":
            if shown:
                print("Success.")
            return 0
        if found["error"]:
            raise LocalApiError(found["error"])
        if found["auth_url"] and found["auth_url"] != shown:
            shown = found["auth_url"]
            print(f"\nTo authenticate, visit:\n\n\t{shown}\n", file=sys.stderr, flush=True)
        news = list(found["health"])
        if found["state"] == "NeedsMachineAuth":
            news.append("waiting for an administrator to approve this node")
        for line in news:
            if line not in told:
                told.add(line)
                print(f"postern up: {line}", file=sys.stderr, flush=True)
        if time.monotonic() > end:
            raise LocalApiError(f"still {found['state']} after {options.timeout:g} s")
        time.sleep(_POLL_S)


def _until(condition: Callable[[], bool], seconds: float, why: str) -> None:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise LocalApiError(why)
        time.sleep(_POLL_S)
