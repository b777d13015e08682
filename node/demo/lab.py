"""The demo's hosts: network namespaces on one bridge, one of them behind a NAT.

    engineer ── home (NAT) ──┐
    192.168.1.2              ├── internet, 203.0.113.0/24 ── hub (control server and relay)
    ops, visitor, servers ───┘

Everything is named after this process, so that demos do not meet and leftovers can be told.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

__all__ = ["HUB_ADDRESS", "Lab", "LabError", "is_permission", "why_not"]

HUB_ADDRESS: Final = "203.0.113.10"
_STOP_S: Final = 10.0
_PUBLIC: Final = {"hub": 10, "home": 101, "ops": 20, "visitor": 25, "production": 30, "staging": 40}
_FIRST_MORE: Final = 150
_NAT: Final = """table ip nat {
  chain postrouting {
    type nat hook postrouting priority srcnat; policy accept;
    oifname "eth0" masquerade
  }
}
"""
_BLOCK_UDP: Final = """table ip demo {
  chain forward {
    type filter hook forward priority -10; policy accept;
    meta l4proto udp drop
  }
}
"""


_FORBIDDEN: Final = "network namespaces are not permitted here"


class LabError(Exception):
    """A host could not be made, or a command failed in one; the message says which."""


def why_not() -> str | None:
    """Return why namespaces cannot be had here, None if they can."""
    if not sys.platform.startswith("linux"):
        return "network namespaces need Linux"
    missing = [name for name in ("ip", "nft", "ping") if shutil.which(name) is None]
    if missing:
        return f"needs {' and '.join(missing)}: install iproute2, nftables and iputils-ping"
    if not Path("/dev/net/tun").exists():
        return "needs /dev/net/tun: load the tun module, or give the container that device"
    if os.geteuid() != 0:
        return "needs root, or a user namespace of its own"
    probe = f"pd{os.getpid()}-probe"
    made = subprocess.run(  # noqa: S603  fixed program, name of our own
        ["ip", "netns", "add", probe],  # noqa: S607
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode:
        return f"{_FORBIDDEN}: {made.stderr.strip()}"
    subprocess.run(["ip", "netns", "del", probe], check=False)  # noqa: S603, S607
    return None


def is_permission(why: str) -> bool:
    """Return whether namespaces of one's own would help against what `why_not` said."""
    return "root" in why or why.startswith(_FORBIDDEN)


@dataclass
class Lab:
    """The hosts, up between `with` and its end."""

    directory: Path
    more: tuple[str, ...] = ()
    """Further hosts on the internet."""
    is_thrown_away: bool = False
    """Whether the directory goes with the hosts."""
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)
    _stack: ExitStack = field(default_factory=ExitStack)

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.callback(self._start_reaper())
            stack.callback(self._stop_all)
            for host in ("internet", *self._public, "engineer"):
                _run("ip", "netns", "add", self.name(host))
                stack.callback(_run, "ip", "netns", "del", self.name(host))
                self.run(host, "ip", "link", "set", "lo", "up")
            self._wire()
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    @property
    def _public(self) -> dict[str, int]:
        """Hosts that have an address on the internet, and its last number."""
        return {**_PUBLIC, **{host: _FIRST_MORE + n for n, host in enumerate(self.more)}}

    def address(self, host: str) -> str:
        """Return a host's address on the internet."""
        return f"203.0.113.{self._public[host]}"

    def name(self, host: str) -> str:
        """Return the namespace of a host."""
        return f"pd{os.getpid()}-{host}"

    def inside(self, host: str, *command: str) -> list[str]:
        """Return the command that runs a command in a host."""
        return ["ip", "netns", "exec", self.name(host), *command]

    def run(self, host: str, *command: str, text: str | None = None) -> str:
        """Run a command in a host; its output. Raises LabError."""
        return _run(*self.inside(host, *command), text=text)

    def start(self, host: str, *command: str, log: str) -> subprocess.Popen[bytes]:
        """Start a process in a host, its output in a file of the directory."""
        with (self.directory / f"{log}.log").open("ab") as out:
            process = subprocess.Popen(  # noqa: S603  our own commands
                self.inside(host, *command), stdin=subprocess.DEVNULL, stdout=out, stderr=out
            )
        self.processes.append(process)
        return process

    def stop(self, process: subprocess.Popen[bytes]) -> None:
        """Ask a process to end, and make it."""
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        self.processes.remove(process)

    def block_udp(self) -> None:
        """Make the NAT's owner drop all UDP, as some companies' firewalls do."""
        self.run("home", "nft", "-f", "-", text=_BLOCK_UDP)

    def unblock_udp(self) -> None:
        """Let UDP through the NAT again."""
        self.run("home", "nft", "delete", "table", "ip", "demo")

    def _start_reaper(self) -> Callable[[], None]:
        """Have the hosts taken down even if this process cannot; returns how to call that off."""
        command = (sys.executable, "-m", "node.demo.reaper", self.name(""))
        thrown_away = (str(self.directory),) if self.is_thrown_away else ()
        reaper = subprocess.Popen(  # noqa: S603  ourselves
            (*command, *thrown_away), stdin=subprocess.PIPE, start_new_session=True
        )

        def dismiss() -> None:
            # It finds nothing left to do but the directory.
            reaper.communicate()

        return dismiss

    def _stop_all(self) -> None:
        for process in self.processes:
            process.send_signal(signal.SIGTERM)
        for process in list(self.processes):
            self.stop(process)

    def _wire(self) -> None:
        self.run("internet", "ip", "link", "add", "br0", "type", "bridge")
        self.run("internet", "ip", "link", "set", "br0", "up")
        for host, number in self._public.items():
            self._plug(host, "internet", f"203.0.113.{number}/24")
        self.run("home", "ip", "link", "add", "br0", "type", "bridge")
        self.run("home", "ip", "addr", "add", "192.168.1.1/24", "dev", "br0")
        self.run("home", "ip", "link", "set", "br0", "up")
        self._plug("engineer", "home", "192.168.1.2/24")
        self.run("engineer", "ip", "route", "add", "default", "via", "192.168.1.1")
        self.run("home", "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward")
        self.run("home", "nft", "-f", "-", text=_NAT)

    def _plug(self, host: str, to: str, address: str) -> None:
        port = f"to-{host}"[:15]
        _run(
            "ip", "link", "add", "eth0", "netns", self.name(host), "type", "veth",
            "peer", "name", port, "netns", self.name(to),
        )  # fmt: skip
        self.run(to, "ip", "link", "set", port, "master", "br0", "up")
        self.run(host, "ip", "addr", "add", address, "dev", "eth0")
        self.run(host, "ip", "link", "set", "eth0", "up")


def _run(*command: str, text: str | None = None) -> str:
    done = subprocess.run(  # noqa: S603  our own commands
        command, input=text, text=True, capture_output=True, check=False
    )
    if done.returncode:
        raise LabError(f"{' '.join(command)}: {(done.stderr or done.stdout).strip()}")
    return done.stdout
