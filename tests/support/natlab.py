"""A laboratory of NATs: hosts, routers and an internet, made of network namespaces.

    lanA, lanA2 ── natA ──┐                     ┌── natB ── lanB
    192.168.1.0/24        ├── inet (203.0.113) ─┤    192.168.2.0/24
                   cgn ───┤                     └── srv (.10 and .20)
                  cgnB ───┘

Needs root on Linux with nftables. Sockets are made inside a namespace and used from this process,
so one event loop can be many hosts. Rules and measured behaviour of each NAT class are recorded
in `tests/golden/paths/nat_rules.json`.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import socket
import subprocess
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Self

from tests.support.vectors import load

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import TracebackType

RULES = load("paths", "nat_rules")
SERVERS = ("203.0.113.10", "203.0.113.20")
SERVERS6 = ("2001:db8:ffff::10", "2001:db8:ffff::20")
CARRIER = {"A": "C", "B": "D"}
"""The carrier that a home may stand behind: a side of its own, with a NAT class of its own."""
LAN = {"A": "192.168.1.0/24", "B": "192.168.2.0/24", "C": "100.64.0.0/24", "D": "100.65.0.0/24"}
WAN = {"A": "203.0.113.101", "B": "203.0.113.102", "C": "203.0.113.103", "D": "203.0.113.104"}
ROUTER = {"A": "natA", "B": "natB", "C": "cgn", "D": "cgnB"}
HOSTS = (("lanA", "A", 2), ("lanA2", "A", 3), ("lanB", "B", 2))
CARRIER_INSIDE = {"A": "100.64.0.101", "B": "100.65.0.101"}
NAMES = ("inet", "srv", "natA", "natB", "cgn", "cgnB", "lanA", "lanA2", "lanB")
FORWARDING = ("net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")
UDP_BLOCK = """table ip blackhole {
  chain forward {
    type filter hook forward priority -10; policy accept;
    meta l4proto udp drop
  }
}
"""
SEQUENTIAL = "symmetric-sequential"
"""A NAT that gives each destination the next port; not among the reference's classes."""
_CLASSES: dict[str, str] = {name: found["nft"] for name, found in RULES["classes"].items()}
_CLASSES[SEQUENTIAL] = _CLASSES["symmetric"].replace(
    '    oifname "w" ip saddr {L} masquerade fully-random\n',
    '    oifname "w" ip saddr {L} meta l4proto udp '
    "snat to {W} : numgen inc mod 20000 offset {N}\n"
    '    oifname "w" ip saddr {L} masquerade\n',
)
CLONE_NEWNET = 0x40000000

_libc = ctypes.CDLL(None, use_errno=True)


def is_possible() -> bool:
    """Whether this machine lets us build the laboratory."""
    return os.geteuid() == 0 and all(map(shutil.which, ("ip", "nft", "sysctl")))


class NatLab:
    """The laboratory, up between `with` and its end. Namespaces carry this process's number."""

    def __init__(self, *, with_ipv6: bool = False, carriers: Iterable[str] = ()) -> None:
        """`carriers` are the sides, of A and B, whose router stands behind another one."""
        self._prefix = f"postern{os.getpid()}-"
        self.with_ipv6 = with_ipv6
        self._carriers = frozenset(carriers)
        self._stack = ExitStack()
        self._first_port = 0

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            for name in NAMES:
                run("ip", "netns", "add", self._prefix + name)
                stack.callback(run, "ip", "netns", "del", self._prefix + name)
                self.inside(name, "ip", "link", "set", "lo", "up")
                for scope in ("all", "default"):
                    self.inside(name, "sysctl", "-qw", f"net.ipv6.conf.{scope}.accept_dad=0")
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

    def command(self, name: str, *command: str) -> list[str]:
        """Return the command that runs a command in a namespace."""
        return ["ip", "netns", "exec", self._prefix + name, *command]

    def inside(self, name: str, *command: str, text: str | None = None) -> str:
        """Run a command in a namespace."""
        return run(*self.command(name, *command), text=text)

    def set_class(self, side: str, nat_class: str) -> None:
        """Make the router of a side behave like a NAT class."""
        wan = CARRIER_INSIDE[side] if side in self._carriers else WAN[side]
        # Ports that an earlier host got are still taken: a row must not begin where that one did.
        self._first_port = 20000 + (self._first_port + 997) % 20000
        rules = _CLASSES[nat_class].replace("{N}", str(self._first_port))
        lan = LAN[side]
        rules = rules.replace("{W}", wan).replace("{L}", lan)
        self.load_rules(ROUTER[side], rules.replace("{H}", lan.replace(".0/24", ".2")))

    def add_ipv6_firewall(self, side: str) -> None:
        """Let nobody in over IPv6 who was not spoken to first; until the next `set_class`."""
        rules: str = RULES["ipv6_firewall"]
        self.inside(ROUTER[side], "nft", "-f", "-", text=rules.replace("flush ruleset\n", ""))

    def load_rules(self, name: str, rules: str) -> None:
        """Replace a router's nftables rules."""
        if not rules.startswith("flush ruleset"):
            rules = "flush ruleset\n" + rules
        self.inside(name, "nft", "-f", "-", text=rules)

    @contextmanager
    def udp_blocked(self, side: str) -> Iterator[None]:
        """Drop all UDP that a router would forward, flows that are established included."""
        self.inside(ROUTER[side], "nft", "-f", "-", text=UDP_BLOCK)
        try:
            yield
        finally:
            self.inside(ROUTER[side], "nft", "delete", "table", "ip", "blackhole")

    @contextmanager
    def within(self, name: str) -> Iterator[None]:
        """Let sockets made inside belong to a namespace; they stay there afterwards."""
        home = os.open("/proc/self/ns/net", os.O_RDONLY)
        there = os.open(f"/var/run/netns/{self._prefix}{name}", os.O_RDONLY)
        try:
            enter(there)
            yield
        finally:
            enter(home)
            os.close(there)
            os.close(home)

    def udp(self, name: str, host: str = "0.0.0.0", port: int = 0) -> socket.socket:
        """Return a bound UDP socket of a host."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with self.within(name):
            sock = socket.socket(family, socket.SOCK_DGRAM)
        sock.setblocking(False)
        sock.bind((host, port))
        return sock

    def inet_socket(self, name: str, kind: socket.SocketKind) -> socket.socket:
        """Return an IPv4 socket of a host, not bound to anything."""
        with self.within(name):
            sock = socket.socket(socket.AF_INET, kind)
        sock.setblocking(False)
        return sock

    def listener(self, name: str, host: str, port: int) -> socket.socket:
        """Return a listening TCP socket of a host."""
        with self.within(name):
            sock = socket.create_server((host, port))
        sock.setblocking(False)
        return sock

    def tcp(self, name: str) -> socket.socket:
        """Return an unconnected TCP socket of a host."""
        return self.inet_socket(name, socket.SOCK_STREAM)

    def _wire(self) -> None:
        self._bridge("inet", "br0")
        servers = [f"{ip}/24" for ip in SERVERS] + [f"{ip}/64" for ip in SERVERS6]
        self._plug("srv", "w", "inet", "br0", *servers)
        for home, carrier in CARRIER.items():
            router = ROUTER[carrier]
            inside = LAN[carrier].replace(".0/24", ".1")
            self._plug(router, "w", "inet", "br0", f"{WAN[carrier]}/24")
            self._bridge(router, "lan0", f"{inside}/24")
            if home in self._carriers:
                self._plug(ROUTER[home], "w", router, "lan0", f"{CARRIER_INSIDE[home]}/24")
                self.inside(ROUTER[home], "ip", "route", "add", "default", "via", inside)
            else:
                number6 = WAN[home].rpartition(".")[2]
                wan6 = f"2001:db8:ffff::{number6}/64"
                self._plug(ROUTER[home], "w", "inet", "br0", f"{WAN[home]}/24", wan6)
        for side, number in (("A", 1), ("B", 2)):
            address6 = f"2001:db8:{number}::1/64"
            self._bridge(ROUTER[side], "lan0", f"192.168.{number}.1/24", address6)
        for name, side, last in HOSTS:
            self._host(name, side, last)
        for router in ROUTER.values():
            self.inside(router, "sysctl", "-qw", *FORWARDING)
        if self.with_ipv6:
            self._route_ipv6()

    def _host(self, name: str, side: str, last: int) -> None:
        number = "AB".index(side) + 1
        addresses = (f"192.168.{number}.{last}/24", f"2001:db8:{number}::{last}/64")
        self._plug(name, "e", ROUTER[side], "lan0", *addresses)
        self.inside(name, "ip", "route", "add", "default", "via", f"192.168.{number}.1")
        if self.with_ipv6:
            via = f"2001:db8:{number}::1"
            self.inside(name, "ip", "-6", "route", "add", "default", "via", via)

    def _route_ipv6(self) -> None:
        homes = [ROUTER[side] for side in CARRIER if side not in self._carriers]
        for name in ("srv", *homes):
            for number, router in ((1, "natA"), (2, "natB")):
                if name != router:
                    via = f"2001:db8:ffff::10{number}"
                    target = f"2001:db8:{number}::/64"
                    self.inside(name, "ip", "-6", "route", "add", target, "via", via)

    def _bridge(self, name: str, bridge: str, *addresses: str) -> None:
        self.inside(name, "ip", "link", "add", bridge, "type", "bridge")
        self.inside(name, "ip", "link", "set", bridge, "up")
        self._address(name, bridge, addresses)

    def _plug(self, name: str, device: str, to: str, bridge: str, *addresses: str) -> None:
        peer = f"p-{name}-{device}"[:15]
        ends = ("netns", self._prefix + name, "type", "veth", "peer", "name", peer)
        run("ip", "link", "add", device, *ends, "netns", self._prefix + to)
        self.inside(to, "ip", "link", "set", peer, "master", bridge, "up")
        self.inside(name, "ip", "link", "set", device, "up")
        self._address(name, device, addresses)

    def _address(self, name: str, device: str, addresses: tuple[str, ...]) -> None:
        for address in addresses:
            # A routed IPv6 path would quietly make every pair of IPv4 NATs direct.
            if self.with_ipv6 or ":" not in address:
                self.inside(name, "ip", "addr", "add", address, "dev", device)


def run(*command: str, text: str | None = None) -> str:
    """Run a command; on failure say what it printed."""
    done = subprocess.run(command, input=text, text=True, capture_output=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout


def enter(namespace: int) -> None:
    """Move this thread into a network namespace."""
    if _libc.setns(namespace, CLONE_NEWNET):
        number = ctypes.get_errno()
        raise OSError(number, f"setns: {os.strerror(number)}")


def namespaces_left() -> list[str]:
    """Return what this process left behind, which must be nothing."""
    folder = Path("/var/run/netns")
    prefix = f"postern{os.getpid()}-"
    return sorted(p.name for p in folder.glob(f"{prefix}*")) if folder.exists() else []
