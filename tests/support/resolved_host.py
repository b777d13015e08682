"""A host with a real systemd-resolved, inside namespaces of its own: `python -m … ROOT STATE`.

ROOT has the files of Debian's package systemd-resolved. Run it as the first process of new mount,
network and PID namespaces; everything ends with it. Points MagicDNS at the tailnet of
`tests.support.netmaps`, asks names through the stub resolver, and prints what it heard as JSON.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dns.asyncquery
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

from control.wire import DnsConfig
from node.agent.names import Names
from node.state.directory import StateDirectory
from tests.support.netmaps import netmap, wire_node

if TYPE_CHECKING:
    from node.netmap.netmap import NetMap

INTERFACE = "postern0"
SECOND = "postern1"
UPSTREAM = "192.0.2.53"
UPSTREAM_ANSWER = "198.51.100.7"
STUB = "127.0.0.53"
STUB_FILE = Path("/run/systemd/resolve/stub-resolv.conf")
BUS = """<busconfig><type>system</type><listen>unix:path=/run/dbus/system_bus_socket</listen>
<auth>EXTERNAL</auth><policy context="default"><allow user="*"/><allow own="*"/>
<allow send_type="method_call"/><allow send_type="signal"/><allow send_destination="*"/>
<allow receive_type="method_call"/><allow receive_type="signal"/>
<allow send_requested_reply="true"/><allow receive_requested_reply="true"/></policy></busconfig>
"""
ACCOUNT = {"passwd": "systemd-resolve:x:990:990::/:/usr/sbin/nologin\n",
           "group": "systemd-resolve:x:990:\n"}  # fmt: skip
LIMIT_S = 30.0


def run(*command: str) -> str:
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr}")
    return done.stdout


def wait_for(path: Path) -> None:
    end = time.monotonic() + LIMIT_S
    while not path.exists():
        if time.monotonic() > end:
            raise TimeoutError(f"{path} does not appear")
        time.sleep(0.05)


def prepare() -> None:
    """Make /run, the accounts and the links of this host."""
    run("mount", "-t", "tmpfs", "tmpfs", "/run")
    for name in ("dbus", "systemd/resolve", "systemd/netif", "systemd/resolved.conf.d"):
        Path("/run", name).mkdir(parents=True, exist_ok=True)
    for name, line in ACCOUNT.items():
        Path("/run", name).write_text(Path("/etc", name).read_text() + line)
        run("mount", "--bind", f"/run/{name}", f"/etc/{name}")
    os.chown("/run/systemd/resolve", 990, 990)
    Path("/run/systemd/resolved.conf.d/upstream.conf").write_text(
        f"[Resolve]\nDNS={UPSTREAM}\nFallbackDNS=\nLLMNR=no\nMulticastDNS=no\n"
    )
    run("ip", "link", "set", "lo", "up")
    run("ip", "addr", "add", f"{UPSTREAM}/32", "dev", "lo")
    add_link("eth0", "192.0.2.10/24")
    # Not a TUN device: that has no carrier before a packet path holds it.
    add_link(INTERFACE, "100.64.0.1/32", "100.100.100.100/32")
    # Of a second agent, whose packets to the service address stay on this host as well.
    add_link(SECOND, "100.64.0.9/32", "100.100.100.100/32")


def add_link(name: str, *addresses: str) -> None:
    run("ip", "link", "add", name, "type", "veth", "peer", "name", f"{name}-far")
    for address in addresses:
        run("ip", "addr", "add", address, "dev", name)
    for end in (f"{name}-far", name):
        run("ip", "link", "set", end, "up")


def start_resolved(root: Path) -> None:
    Path("/run/bus.conf").write_text(BUS)
    subprocess.Popen(["dbus-daemon", "--config-file=/run/bus.conf", "--nofork", "--nopidfile"])
    wait_for(Path("/run/dbus/system_bus_socket"))
    subprocess.Popen([str(root / "lib/systemd/systemd-resolved")])
    wait_for(STUB_FILE)
    os.environ["PATH"] = f"{root / 'usr/bin'}:{os.environ['PATH']}"
    end = time.monotonic() + LIMIT_S
    while subprocess.run(["resolvectl", "status"], check=False, capture_output=True).returncode:
        if time.monotonic() > end:
            raise TimeoutError("resolvectl gets no answer")
        time.sleep(0.1)


class Upstream(asyncio.DatagramProtocol):
    """The resolver that the host had before: one answer to everything."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        query = dns.message.from_wire(data)
        [question] = query.question
        self.asked.append(question.name.to_text(omit_final_dot=True))
        response = dns.message.make_response(query)
        if question.rdtype == dns.rdatatype.A:
            response.answer.append(
                dns.rrset.from_text(question.name, 1, "IN", "A", UPSTREAM_ANSWER)
            )
        self._transport.sendto(response.to_wire(), addr)


async def asked(name: str, kind: str = "A") -> str:
    query = dns.message.make_query(name, kind)
    response = await dns.asyncquery.udp(query, STUB, LIMIT_S)
    texts = [item.to_text() for rrset in response.answer for item in rrset]
    return " ".join(texts) or dns.rcode.to_text(response.rcode())


def searched(label: str) -> str:
    """Look a bare name up as programs do, with what systemd-resolved tells them to search."""
    end = time.monotonic() + LIMIT_S
    while "search tail.example" not in STUB_FILE.read_text():
        if time.monotonic() > end:
            raise TimeoutError(STUB_FILE.read_text() + run("resolvectl", "status"))
        time.sleep(0.05)
    run("mount", "--bind", str(STUB_FILE), "/etc/resolv.conf")
    return run("getent", "ahostsv4", label)


def other_tailnet() -> NetMap:
    """Return the netmap of node 9 in a tailnet of its own, with a node `db` in it."""
    config = DnsConfig(domains=("other.example",), proxied=True, routes={"other.example": ()})
    own = wire_node(9, name="own")
    peer = replace(wire_node(5, name="db"), name="db.other.example.")
    own = replace(own, name="own.other.example.")
    return netmap(peer, own=own, domain="other.example", dns_config=config)


async def tell(state: Path) -> dict[str, Any]:
    loop = asyncio.get_running_loop()
    _, upstream = await loop.create_datagram_endpoint(Upstream, local_addr=(UPSTREAM, 53))
    directory = StateDirectory(state)
    directory.create()
    names = Names(INTERFACE, STUB_FILE, directory)
    held = netmap(wire_node(2, "web"))
    found: dict[str, Any] = {"before": await asked("web.tail.example")}
    upstream.asked.clear()
    found["trouble"] = await names.apply(held, accept=True)
    found["name"] = await asked("web.tail.example")
    found["reverse"] = await asked("2.0.64.100.in-addr.arpa", "PTR")
    found["elsewhere"] = await asked("www.example.net")
    found["searched"] = (await asyncio.to_thread(searched, "web")).split()[0]
    second_directory = StateDirectory(state / "second")
    second_directory.create()
    second = Names(SECOND, STUB_FILE, second_directory)
    found["second_trouble"] = await second.apply(other_tailnet(), accept=True)
    found["second_name"] = await asked("db.other.example")
    found["first_beside_it"] = await asked("web.tail.example")
    await second.close()
    found["upstream_asked"] = sorted(set(upstream.asked))
    await names.close()
    await asyncio.to_thread(run, "resolvectl", "flush-caches")
    found["after_close"] = await asked("web.tail.example")
    await names.apply(held, accept=True)
    found["again"] = await asked("web.tail.example")
    # What is left of an agent that was killed: its interface goes, nobody says goodbye.
    await asyncio.to_thread(run, "ip", "link", "del", INTERFACE)
    end = time.monotonic() + LIMIT_S
    while (answer := await asked("web.tail.example")) != UPSTREAM_ANSWER:
        if time.monotonic() > end:
            break
        await asyncio.to_thread(run, "resolvectl", "flush-caches")
    return {**found, "after_crash": answer}


def main() -> None:
    socket.sethostname("resolved-test")
    prepare()
    start_resolved(Path(sys.argv[1]))
    sys.stdout.write(json.dumps(asyncio.run(tell(Path(sys.argv[2])))))


if __name__ == "__main__":
    main()
