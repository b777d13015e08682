"""Two agents, one of them behind a NAT, and two relay regions that can be killed and restarted."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from node.demo.lab import HUB_ADDRESS, Lab, LabError
from node.demo.network import MEMBERS, Network, postern, wait_until
from relay.server.tls import self_signed
from tests.support import stream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

STREAM: Final = str(Path(stream.__file__))
RELAYS: Final = {1: ("hub", HUB_ADDRESS), 2: ("visitor", "203.0.113.25")}
PORT: Final = 443
STREAM_PORT: Final = 7000
WATCHED_S: Final = 2.0
POLICY: Final = '{"acls": [{"action": "accept", "src": ["*"], "dst": ["*:*"]}]}'
_CONTROL_PORT: Final = 8080
_CONFIG: Final = """\
server_url: http://{hub}:{port}
listen_addr: {hub}:{port}
metrics_listen_addr: ""
unix_socket: {directory}/control.sock
database: sqlite:///{directory}/control.db
noise: {{private_key_path: {directory}/noise.key}}
dns: {{base_domain: demo.internal}}
derp:
  regions:
"""
_REGION: Final = """\
    - id: {region}
      code: r{region}
      name: Region {region}
      nodes:
        - name: n{region}
          host_name: {address}
          ipv4: {address}
          ipv6: none
          derp_port: {port}
          cert_name: "sha256-raw:{pin}"
"""


@dataclass
class Conversation:
    """A TCP stream inside the tunnel, from the engineer to production."""

    process: subprocess.Popen[str]
    silences: list[tuple[float, float]] = field(default_factory=list)

    def end(self) -> float:
        """End it and return the longest silence, in seconds; every byte must have come back."""
        out, _ = self.process.communicate(timeout=60)
        *lines, verdict = out.splitlines()
        assert verdict.startswith("same"), verdict
        words = [line.split() for line in lines if line.startswith("silent")]
        self.silences = [(float(at), float(end)) for _, at, end in words]
        return max((end - at for at, end in self.silences), default=0.0)


class TwoRegions(Network):
    """The demo's network with a second region, and only two members."""

    relays: dict[int, subprocess.Popen[bytes]]

    def start_servers(self) -> None:
        """Start the first relay and the control server."""
        self.relays = {}
        text = _CONFIG.format(hub=HUB_ADDRESS, port=_CONTROL_PORT, directory=self.directory)
        for region, (_, address) in RELAYS.items():
            certificate, key, pin = self_signed(address, datetime.now(UTC))
            (self.directory / f"relay{region}.crt").write_bytes(certificate)
            (self.directory / f"relay{region}.key").write_bytes(key)
            text += _REGION.format(region=region, address=address, port=PORT, pin=pin)
        (self.directory / "control.yaml").write_text(text)
        self.start_region(1)
        self.start_control()

    def start_region(self, region: int) -> None:
        """Start a region's relay, with the certificate it always had."""
        host, address = RELAYS[region]
        log = f"relay{region}"
        at = len(self._text(log))
        files = str(self.directory / f"relay{region}")
        command = postern(
            "relay", "serve", "--listen", f"{address}:{PORT}", "--http-port", "-1",
            "--key-file", f"{files}.json", "--hostname", address,
            "--cert", f"{files}.crt", "--cert-key", f"{files}.key", "--admit-everyone",
            "--drain", "1",
        )  # fmt: skip
        self.relays[region] = self.lab.start(host, *command, log=log)
        wait_until(lambda: "serving on" in self._text(log)[at:], f"relay {region}")

    def kill_region(self, region: int) -> None:
        """End a region's relay without a word to anybody."""
        relay = self.relays.pop(region)
        relay.send_signal(signal.SIGKILL)
        relay.wait()
        self.lab.processes.remove(relay)

    def restart_region(self, region: int) -> None:
        """Stop a relay as an operator does, and start it again."""
        self.lab.stop(self.relays.pop(region))
        self.start_region(region)

    def _text(self, log: str) -> str:
        path = self.directory / f"{log}.log"
        return path.read_text() if path.exists() else ""

    def join(self) -> None:
        """Let two members in; production echoes."""
        user = str(self.api("POST", "user", name="ann", email="ann@corp.example")["user"]["id"])
        for member in MEMBERS:
            if member.host in {"engineer", "production"}:
                self._bring_up(member, self._add_key(user, ""))
        echo = (sys.executable, STREAM, "echo", self.addresses["production"], str(STREAM_PORT))
        self.lab.start("production", *echo, log="echo")
        wait_until(lambda: "ready" in self._text("echo"), "the echo")

    def home(self, host: str) -> str:
        """Return the code of a host's home region."""
        return str(self.status(host)["Self"]["Relay"])

    def talk(self) -> Conversation:
        """Begin a conversation; returns when it flows. Raises LabError."""
        log = self.directory / "talk.err"
        command = (sys.executable, STREAM, "talk")
        with log.open("ab") as err:
            process = subprocess.Popen(
                self.lab.inside(
                    "engineer", *command, self.addresses["production"], str(STREAM_PORT)
                ),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=err,
                text=True,
            )
        assert process.stdout is not None
        if process.stdout.readline().strip() != "open":
            process.kill()
            process.communicate()
            raise LabError(f"no conversation: {log.read_text()[-2000:]}")
        return Conversation(process)

    def way(self, host: str, other: str) -> str:
        """Return the address that packets go to, empty while they go by relay."""
        peer = self.peer(host, other)
        return str(peer["CurAddr"]) if peer is not None else ""

    def is_direct(self) -> bool:
        """Whether both ways are direct."""
        return all(
            self.way(*pair) for pair in (("engineer", "production"), ("production", "engineer"))
        )


@contextlib.contextmanager
def running(directory: Path) -> Iterator[TwoRegions]:
    """Run it; everything is gone afterwards."""
    with Lab(directory) as lab:
        network = TwoRegions(lab)
        network.start_servers()
        network.join()
        network.set_policy(POLICY)
        wait_until(lambda: network.peer("engineer", "production") is not None, "peers")
        yield network


def longest_silence(
    network: TwoRegions, event: Callable[[], object], until: Callable[[], bool], what: str
) -> float:
    """Let something happen during a conversation; return its longest silence in seconds."""
    conversation = network.talk()
    try:
        event()
        wait_until(until, what)
        # What comes after the change counts too: a flapping path would be silent again.
        time.sleep(WATCHED_S)
    except BaseException:
        conversation.process.kill()
        conversation.process.communicate()
        raise
    return conversation.end()
