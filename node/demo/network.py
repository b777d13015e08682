"""The demo's network: a control server, a relay and five agents, started as anybody would."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from node.demo.lab import HUB_ADDRESS, Lab, LabError
from node.localapi.client import LocalApiError, ask_at

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

__all__ = [
    "DOMAIN",
    "MEMBERS",
    "Certificate",
    "Member",
    "Network",
    "PolicyRefusedError",
    "postern",
    "wait_until",
]

DOMAIN: Final = "demo.internal"
_READY_S: Final = 90.0
_START_S: Final = 120.0
_JOINING_AT_ONCE: Final = 5
_POLL_S: Final = 0.05
_CONTROL_PORT: Final = 8080
_RELAY_PORT: Final = 3340
_REGION: Final = 1
_CONFIG: Final = """\
server_url: http://{hub}:{port}
listen_addr: {hub}:{port}
metrics_listen_addr: ""
unix_socket: {directory}/control.sock
database: sqlite:///{directory}/control.db
noise: {{private_key_path: {directory}/noise.key}}
dns: {{base_domain: {domain}}}
derp:
  regions:
    - id: {region}
      code: hub
      name: The hub
      nodes:
        - name: hub
          host_name: {hub}
          ipv4: {hub}
          ipv6: none
          derp_port: {relay_port}
          cert_name: "{pin}"
"""


class PolicyRefusedError(Exception):
    """The control server did not take a policy; the message is its own."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """A relay's certificate, which outlives the relay: files in PEM, and its pin."""

    chain: Path
    key: Path
    pin: str


@dataclass(frozen=True, slots=True)
class Member:
    """A machine that joins."""

    host: str
    owner: str = ""
    tag: str = ""
    ports: tuple[int, ...] = ()
    """Where a server listens."""


MEMBERS: Final = (
    Member("engineer", owner="ann", ports=(22,)),
    Member("ops", owner="oli", ports=(22,)),
    Member("visitor", owner="sam", ports=(22,)),
    Member("production", tag="tag:production", ports=(22, 443)),
    Member("staging", tag="tag:staging", ports=(22, 443, 8080)),
)
_USERS: Final = ("ann", "bo", "oli", "sam")


def postern(*arguments: str) -> tuple[str, ...]:
    """Return the command that runs `postern ...` with this interpreter."""
    return (
        sys.executable,
        "-c",
        "import sys; from node.cli import main; sys.exit(main())",
        *arguments,
    )


def wait_until(condition: Callable[[], bool], what: str, seconds: float = _READY_S) -> None:
    """Poll until a condition holds. Raises LabError."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise LabError(f"not within {seconds:g} s: {what}")
        time.sleep(_POLL_S)


@dataclass
class Network:
    """Everything that runs in a lab."""

    lab: Lab
    members: tuple[Member, ...] = MEMBERS
    certificate: Certificate | None = None
    """What the relay shows; without one it makes one at each start."""
    addresses: dict[str, str] = field(default_factory=dict)
    """Tailnet IPv4 address by host."""
    agents: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    _users: dict[str, str] = field(default_factory=dict)
    """Number by name."""
    relay: subprocess.Popen[bytes] | None = None
    control: subprocess.Popen[bytes] | None = None

    @property
    def directory(self) -> Path:
        """Where everything keeps its files."""
        return self.lab.directory

    # Servers.

    def start_servers(self) -> None:
        """Start relay and control server; returns when both answer. Raises LabError."""
        pin = self.start_relay()
        text = _CONFIG.format(
            hub=HUB_ADDRESS,
            port=_CONTROL_PORT,
            directory=self.directory,
            domain=DOMAIN,
            region=_REGION,
            relay_port=_RELAY_PORT,
            pin=pin,
        )
        (self.directory / "control.yaml").write_text(text)
        self.start_control()

    def start_control(self) -> None:
        """Start the control server; returns when it answers. Raises LabError."""
        config = str(self.directory / "control.yaml")
        command = postern("control", "serve", "-c", config)
        self.control = control = self.lab.start("hub", *command, log="control")
        self._await(lambda: self._answers("GET", "health"), control, "control")

    def start_relay(self) -> str:
        """Start the relay; returns the pin of its certificate. Raises LabError."""
        command = postern(
            "relay", "serve", "--listen", f"{HUB_ADDRESS}:{_RELAY_PORT}", "--http-port", "-1",
            "--key-file", str(self.directory / "relay.json"), "--hostname", HUB_ADDRESS,
            *self._certified(),
            "--verify-client-url", f"http://{HUB_ADDRESS}:{_CONTROL_PORT}/verify",
        )  # fmt: skip
        self.relay = relay = self.lab.start("hub", *command, log="relay")
        log = self.directory / "relay.log"
        pins: list[str] = []

        started = log.stat().st_size

        def is_serving() -> bool:
            text = log.read_text()[started:]
            pins[:] = re.findall(r"sha256-raw:[0-9a-f]{64}", text)
            if self.certificate is not None:
                pins[:] = [self.certificate.pin]
            return bool(pins) and "serving on" in text

        self._await(is_serving, relay, "relay")
        return pins[-1]

    def _certified(self) -> tuple[str, ...]:
        if self.certificate is None:
            return ("--self-signed",)
        return "--cert", str(self.certificate.chain), "--cert-key", str(self.certificate.key)

    def _await(
        self, condition: Callable[[], bool], process: subprocess.Popen[bytes], log: str
    ) -> None:
        wait_until(lambda: process.poll() is not None or condition(), f"{log} answers", _START_S)
        if process.poll() is not None:
            raise LabError(f"{log} stopped: {(self.directory / f'{log}.log').read_text()[-2000:]}")

    def _answers(self, method: str, path: str) -> bool:
        try:
            self.api(method, path)
        except LocalApiError:
            return False
        return True

    def api(self, method: str, path: str, **body: object) -> Any:
        """Ask the control server's REST API. Raises LocalApiError."""
        socket = self.directory / "control.sock"
        text = json.dumps(body) if body else None
        answer = ask_at(socket, "control", method, f"/api/v1/{path}", text, timeout_s=_READY_S)
        return json.loads(answer)

    def set_policy(self, text: str) -> float:
        """Put a policy in force; returns when it was sent. Raises PolicyRefusedError."""
        (self.directory / "policy.hujson").write_text(text)
        sent_at = time.time()
        try:
            self.api("PUT", "policy", policy=text)
        except LocalApiError as error:
            raise PolicyRefusedError(str(error)) from None
        return sent_at

    # Members.

    def join(self) -> None:
        """Let every member in with a pre-auth key of its own. Raises LabError."""
        self._users = {name: self._add_user(name) for name in _USERS}
        keys = {member.host: self.add_key(member.owner, member.tag) for member in self.members}
        # A few at a time: on a small machine all at once would only wait for one another.
        with ThreadPoolExecutor(_JOINING_AT_ONCE) as pool:
            list(pool.map(lambda member: self._bring_up(member, keys[member.host]), self.members))

    def _add_user(self, name: str) -> str:
        made = self.api("POST", "user", name=name, email=f"{name}@corp.example")
        return str(made["user"]["id"])

    def add_key(self, owner: str, tag: str = "") -> str:
        """Make a pre-auth key that lets one node in, for a user or, without one, with a tag."""
        return self._add_key(self._users.get(owner), tag)

    def _add_key(self, user: str | None, tag: str) -> str:
        made = self.api(
            "POST",
            "preauthkey",
            user=user,
            reusable=False,
            ephemeral=False,
            expiration=(datetime.now(UTC) + timedelta(hours=1)).isoformat(),
            aclTags=[tag] if tag else [],
        )
        return str(made["preAuthKey"]["key"])

    def _bring_up(self, member: Member, key: str) -> None:
        host = member.host
        ports = tuple(map(str, member.ports))
        probe = (sys.executable, "-m", "node.demo.probe", "serve", host, *ports)
        self.lab.start(host, *probe, log=f"{host}-server")
        self.start_agent(host)
        # In a file: command lines are there for everybody to see, and in errors.
        key_file = self.directory / f"{host}.key"
        key_file.touch(mode=0o600)
        key_file.write_text(key)
        self.lab.run(
            host,
            *postern(
                "up", "--state-dir", str(self.state(host)), "--auth-key", f"file:{key_file}",
                "--login-server", f"http://{HUB_ADDRESS}:{_CONTROL_PORT}",
                "--hostname", host, "--timeout", str(_READY_S),
            ),
        )  # fmt: skip
        self.addresses[host] = self.status(host)["TailscaleIPs"][0]

    def start_agent(self, host: str) -> None:
        """Start a host's agent; returns when it answers. Raises LabError."""
        state = str(self.state(host))
        # The namespaces share this machine's files: its own resolver must be left alone.
        resolver = self.resolv_conf(host)
        resolver.touch()
        command = postern(
            "agent", "--state-dir", state, "--verbose", "--resolv-conf", str(resolver)
        )
        self.agents[host] = agent = self.lab.start(host, *command, log=host)
        self._await(lambda: self.is_answering(host), agent, host)

    def resolv_conf(self, host: str) -> Path:
        """Return what stands for a host's /etc/resolv.conf."""
        return self.directory / f"resolv-{host}.conf"

    def resolve(self, host: str, name: str, kind: str = "A") -> str:
        """Ask MagicDNS on a host; return the answers, or the error's name."""
        command = (sys.executable, "-m", "node.demo.probe", "resolve", name, kind)
        return self.lab.run(host, *command).strip()

    def is_answering(self, host: str) -> bool:
        """Whether a host's agent answers."""
        try:
            self.ask(host, "GET", "/state")
        except LocalApiError:
            return False
        return True

    def state(self, host: str) -> Path:
        """Return the state directory of a host's agent."""
        return self.directory / f"state-{host}"

    def ask(self, host: str, method: str, path: str, **body: object) -> Any:
        """Ask a host's agent. Raises LocalApiError."""
        text = json.dumps(body) if body else None
        where = self.state(host) / "agent.sock"
        return json.loads(ask_at(where, host, method, path, text, timeout_s=_READY_S))

    def status(self, host: str) -> dict[str, Any]:
        """Return what `status --json` says on a host."""
        found: dict[str, Any] = self.ask(host, "GET", "/status")
        return found

    def peer(self, host: str, other: str) -> dict[str, Any] | None:
        """Return what a host's status says of another."""
        for peer in self.status(host)["Peer"].values():
            if peer["HostName"] == other:
                return dict(peer)
        return None

    def connect(self, host: str, other: str, port: int, seconds: float = 5.0) -> str:
        """Try a TCP connection; return `open NAME` or what came instead."""
        command = (sys.executable, "-m", "node.demo.probe", "connect")
        done = subprocess.run(  # noqa: S603  ourselves
            self.lab.inside(host, *command, self.addresses[other], str(port), str(seconds)),
            capture_output=True,
            text=True,
            check=False,
        )
        return done.stdout.strip() or done.stderr.strip()

    def survey(
        self, host: str, targets: Iterable[tuple[str, int]], seconds: float
    ) -> dict[tuple[str, int], str]:
        """Try many TCP connections at once; return what `connect` returns, of each."""
        by_address = {(self.addresses[other], port): (other, port) for other, port in targets}
        spelled = [f"{address}:{port}" for address, port in by_address]
        command = (sys.executable, "-m", "node.demo.probe", "survey", str(seconds), *spelled)
        found = {}
        for line in self.lab.run(host, *command).splitlines():
            address, port, said = line.split(" ", 2)
            found[by_address[address, int(port)]] = said
        return found

    def inventory(self) -> dict[str, Any]:
        """Return users and devices in the shape that `policy explain --inventory` reads."""
        users = self.api("GET", "user")["users"]
        return {
            "users": [
                {"id": user["id"], "loginName": user["email"], "role": user["role"]}
                for user in users
            ],
            "devices": [
                {
                    "id": node["id"],
                    "hostname": node["givenName"],
                    "os": "linux",
                    "addresses": node["ipAddresses"],
                    "created": node["createdAt"],
                    **({"tags": node["tags"]} if node["tags"] else {"user": node["user"]["email"]}),
                }
                for node in self.api("GET", "node")["nodes"]
            ],
        }

    def explain(self, host: str, other: str, port: int) -> str:
        """Return what `policy explain` says of the policy that was set last."""
        path = self.directory / "inventory.json"
        path.write_text(json.dumps(self.inventory()))
        command = (
            sys.executable, "-m", "policy.cli", "explain",
            str(self.directory / "policy.hujson"), "--inventory", str(path),
            host, f"{other}:{port}",
        )  # fmt: skip
        done = subprocess.run(  # noqa: S603  ourselves
            command, capture_output=True, text=True, check=False
        )
        return done.stdout.strip() or done.stderr.strip()
