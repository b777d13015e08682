"""Hosts made of network namespaces: two ends of a veth, and the tunnels that run in them."""

from __future__ import annotations

import base64
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

REPOSITORY = Path(__file__).parents[2]
READY_S = 60.0


def why_not(*programs: str) -> str | None:
    """Return why hosts cannot be made here, or None."""
    if not sys.platform.startswith("linux"):
        return "network namespaces need Linux"
    if os.geteuid() != 0:
        return "needs root to make network namespaces"
    if not Path("/dev/net/tun").exists():
        return "needs /dev/net/tun"
    missing = [name for name in ("ip", *programs) if shutil.which(name) is None]
    return f"needs {', '.join(missing)}, not installed" if missing else None


def needs(*programs: str) -> pytest.MarkDecorator:
    """Skip, saying why, where hosts cannot be made or a program is missing."""
    why = why_not(*programs)
    return pytest.mark.skipif(why is not None, reason=f"SKIPPED LOUDLY: {why}")


def run(*command: str, check_status: bool = True, **options: object) -> str:
    """Run a command; its output. Fails with what it said."""
    finished = subprocess.run(  # type: ignore[call-overload]
        command, capture_output=True, text=True, check=False, **options
    )
    if finished.returncode and check_status:
        raise AssertionError(f"{' '.join(command)}: {finished.stdout}{finished.stderr}")
    return str(finished.stdout)


def until(condition: Callable[[], bool], what: str, seconds: float = READY_S) -> None:
    """Poll until a condition holds."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.02)


@dataclass
class Host:
    """A network namespace and what runs in it."""

    name: str
    directory: Path
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def run(self, *command: str, check_status: bool = True, **options: object) -> str:
        inside = ("ip", "netns", "exec", self.name, *command)
        return run(*inside, check_status=check_status, **options)

    def start(self, *command: str, log: str = "log", **environment: str) -> subprocess.Popen[bytes]:
        """Start a process in this host, its output in a file."""
        with (self.directory / f"{self.name}.{log}").open("ab") as out:
            process = subprocess.Popen(
                ("ip", "netns", "exec", self.name, *command),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                env=os.environ | environment,
            )
        self.processes.append(process)
        return process

    def python(self, *arguments: str) -> tuple[str, ...]:
        return (sys.executable, *arguments)

    def sysctl(self, setting: str) -> None:
        self.run("sysctl", "-qw", setting)

    def stop(self, process: subprocess.Popen[bytes]) -> None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)
        if process in self.processes:
            self.processes.remove(process)

    def stop_all(self) -> None:
        for process in reversed(list(self.processes)):
            self.stop(process)

    def counter(self, name: str) -> int:
        """Return a counter of nstat, such as TcpInCsumErrors."""
        for line in self.run("nstat", "-az", name).splitlines():
            if line.startswith(name):
                return int(line.split()[1])
        raise AssertionError(f"no counter {name}")


@dataclass
class Lab:
    """Two hosts, joined by a veth with 192.0.2.1/2 and 2001:db8::1/2."""

    a: Host
    b: Host

    @property
    def hosts(self) -> tuple[Host, Host]:
        return self.a, self.b


@contextlib.contextmanager
def lab(directory: Path) -> Iterator[Lab]:
    """Make the hosts, and clean up whatever happens."""
    tag = f"{os.getpid() % 100000:05d}"
    hosts = [Host(f"pn{tag}{side}", directory) for side in "ab"]
    try:
        for host in hosts:
            run("ip", "netns", "add", host.name)
        a, b = hosts
        run(
            "ip", "link", "add", "eth0", "netns", a.name, "type", "veth",
            "peer", "name", "eth0", "netns", b.name,
        )  # fmt: skip
        for number, host in enumerate(hosts, 1):
            host.run("ip", "link", "set", "lo", "up")
            host.run("ip", "addr", "add", f"192.0.2.{number}/24", "dev", "eth0")
            host.run("ip", "addr", "add", f"2001:db8::{number}/64", "dev", "eth0", "nodad")
            host.run("ip", "link", "set", "eth0", "up")
        yield Lab(a, b)
    finally:
        for host in hosts:
            host.stop_all()
            subprocess.run(("ip", "netns", "del", host.name), check=False, capture_output=True)


def new_key() -> tuple[str, str]:
    """Return a private and a public key."""
    private = run("wg", "genkey").strip()
    return private, run("wg", "pubkey", input=private).strip()


def new_psk() -> str:
    return base64.b64encode(os.urandom(32)).decode()


@dataclass
class Tunnel:
    """One end's configuration: inner 10.7.0.N and fd07::N."""

    number: int
    private: str
    peer_public: str
    preshared: str = ""
    endpoint: str = ""
    port: int = 51820
    keepalive: int = 0
    mtu: int = 1420
    allowed: str = ""
    """AllowedIPs, if not just the other end."""
    lines: tuple[str, ...] = ()
    """More for the interface's section."""

    def text(self) -> str:
        other = 3 - self.number
        lines = [
            "[Interface]",
            f"PrivateKey = {self.private}",
            f"Address = 10.7.0.{self.number}/24, fd07::{self.number}/64",
            f"ListenPort = {self.port}",
            f"MTU = {self.mtu}",
            *self.lines,
            "[Peer]",
            f"PublicKey = {self.peer_public}",
            f"AllowedIPs = {self.allowed or f'10.7.0.{other}/32, fd07::{other}/128'}",
        ]
        if self.preshared:
            lines.append(f"PresharedKey = {self.preshared}")
        if self.endpoint:
            lines.append(f"Endpoint = {self.endpoint}")
        if self.keepalive:
            lines.append(f"PersistentKeepalive = {self.keepalive}")
        return "\n".join(lines) + "\n"


def tunnels(*, preshared: bool = True, outer6: bool = False) -> tuple[Tunnel, Tunnel]:
    """Return two ends that know each other."""
    (private_a, public_a), (private_b, public_b) = new_key(), new_key()
    psk = new_psk() if preshared else ""
    where = ("[2001:db8::2]:51820", "[2001:db8::1]:51820") if outer6 else (
        "192.0.2.2:51820", "192.0.2.1:51820",
    )  # fmt: skip
    return (
        Tunnel(1, private_a, public_b, psk, where[0]),
        Tunnel(2, private_b, public_a, psk, where[1]),
    )


def postern_wg_up(
    host: Host, tunnel: Tunnel, *options: str, name: str = "wg0"
) -> subprocess.Popen[bytes]:
    """Run our end; returns when it is up."""
    conf = host.directory / f"{host.name}.{name}.conf"
    conf.write_text(tunnel.text())
    conf.chmod(0o600)
    directory = run_directory(host)
    process = host.start(
        *host.python("-c", "import sys; from node.cli import main; sys.exit(main())"),
        "wg", "up", str(conf), "--name", name, *options,
        log=name, POSTERN_RUN_DIR=str(directory), PYTHONPATH=str(REPOSITORY),
    )  # fmt: skip
    until(
        lambda: (directory / f"{name}.sock").exists() or process.poll() is not None,
        f"{host.name} up",
    )
    assert process.poll() is None, (host.directory / f"{host.name}.{name}").read_text()
    return process


def run_directory(host: Host) -> Path:
    """Return where our end's local API is."""
    return host.directory / f"run-{host.name}"


def postern_wg(host: Host, *arguments: str) -> str:
    """Run `postern wg ...` in a host."""
    environment = os.environ | {
        "POSTERN_RUN_DIR": str(run_directory(host)),
        "PYTHONPATH": str(REPOSITORY),
    }
    return host.run(
        *host.python("-c", "import sys; from node.cli import main; sys.exit(main())"),
        "wg", *arguments, env=environment,
    )  # fmt: skip


def wireguard_go_up(host: Host, tunnel: Tunnel, name: str = "wg0") -> subprocess.Popen[bytes]:
    """Run Debian's wireguard-go as the end of a tunnel."""
    process = host.start(
        "wireguard-go", "-f", name, log=name, WG_PROCESS_FOREGROUND="1",
        WG_TUN_NAME_FILE=str(host.directory / "name"),
    )  # fmt: skip
    until(lambda: Path(f"/var/run/wireguard/{name}.sock").exists(), "wireguard-go's socket")
    text = "\n".join(
        line for line in tunnel.text().splitlines() if not line.startswith(("Address", "MTU"))
    )
    conf = host.directory / f"{host.name}.wg.conf"
    conf.write_text(text + "\n")
    host.run("wg", "setconf", name, str(conf))
    host.run("ip", "addr", "add", f"10.7.0.{tunnel.number}/24", "dev", name)
    host.run("ip", "addr", "add", f"fd07::{tunnel.number}/64", "dev", name, "nodad")
    host.run("ip", "link", "set", name, "mtu", str(tunnel.mtu), "up")
    return process
