"""Bad links and floods against live interfaces: memory stays bounded, traffic recovers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from node.datapath.flows import MAX_FLOWS_PER_PEER
from tests.support import netns, transfer
from tests.support.netns import Lab, postern_wg, postern_wg_up, tunnels, until

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

    from tests.support.netns import Host

pytestmark = [pytest.mark.netns, netns.needs("wg", "nft", "ping", "ss")]

TRANSFER = str(Path(transfer.__file__))
LOSSY = """
table inet lossy {
  chain in {
    type filter hook input priority 0;
    iifname "eth0" udp dport 51820 numgen random mod 100 < 2 drop
  }
}
"""
GARBAGE = """
import os, socket
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
heads = [b"", b"\\1\\0\\0\\0", b"\\2\\0\\0\\0", b"\\3\\0\\0\\0", b"\\4\\0\\0\\0"]
sizes = [1, 31, 32, 60, 64, 88, 92, 144, 148, 1400]
for number in range(60000):
    size = sizes[number % len(sizes)]
    datagram = (heads[number // 10 % 5] + os.urandom(size))[:size + 4]
    sock.sendto(datagram, ("192.0.2.2", 51820))
"""
MANY_FLOWS = """
import socket
for source in range(3):
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("10.7.0.1", 0))
    for port in range(1, 12001):
        sock.sendto(b"x" * 24, ("10.7.0.2", port))
"""
ALLOW_ALL = [{"SrcIPs": ["*"], "DstPorts": [{"IP": "*", "Ports": {"First": 0, "Last": 65535}}]}]


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with netns.lab(tmp_path) as made:
        yield made


def up(lab: Lab) -> subprocess.Popen[bytes]:
    """Run both ends, b with a filter that allows everything; b's process."""
    file = lab.b.directory / "filter.json"
    file.write_text(json.dumps(ALLOW_ALL))
    first, second = tunnels()
    postern_wg_up(lab.a, first)
    process = postern_wg_up(lab.b, second, "--filter", str(file))
    ping(lab.a)
    return process


def ping(host: Host) -> None:
    host.run("ping", "-n", "-c", "3", "-i", "0.05", "-W", "5", "10.7.0.2")


def resident_kb(process: subprocess.Popen[bytes]) -> int:
    for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1])
    raise AssertionError("no VmRSS")


@pytest.mark.parametrize("target", ["10.7.0.2", "fd07::2"], ids=["ipv4", "ipv6"])
def test_transfer_over_a_lossy_link_is_whole(lab: Lab, target: str) -> None:
    up(lab)
    for host in lab.hosts:
        host.run("nft", "-f", "-", input=LOSSY)
    lab.b.start(*lab.b.python(TRANSFER, "serve", target, "7777"), log="serve")
    until(lambda: ":7777" in lab.b.run("ss", "-ltn"), "the receiver")
    said = lab.a.run(*lab.a.python(TRANSFER, "send", target, "7777", "3000000", "9"))
    assert said.strip() == "same"
    assert lab.b.counter("TcpInCsumErrors") == 0


def test_flood_of_garbage_leaves_memory_and_traffic_alone(lab: Lab) -> None:
    process = up(lab)
    before = resident_kb(process)
    lab.a.run(*lab.a.python("-c", GARBAGE))
    assert resident_kb(process) < before + 8192
    ping(lab.a)


def test_flood_of_flows_by_a_peer_is_bounded(lab: Lab) -> None:
    process = up(lab)
    before = resident_kb(process)
    lab.a.run(*lab.a.python("-c", MANY_FLOWS))
    status = json.loads(postern_wg(lab.b, "show", "--json"))[0]
    assert status["flows"] <= MAX_FLOWS_PER_PEER
    assert resident_kb(process) < before + 65536
    ping(lab.a)


def test_tunnel_mtu_can_change_under_way(lab: Lab) -> None:
    up(lab)
    for mtu in ("1280", "1420"):
        for host in lab.hosts:
            host.run("ip", "link", "set", "wg0", "mtu", mtu)
        lab.a.run("ping", "-n", "-c", "3", "-i", "0.05", "-s", "3000", "-W", "5", "10.7.0.2")


def test_interface_that_went_down_comes_back(lab: Lab) -> None:
    up(lab)
    lab.b.run("ip", "link", "set", "wg0", "down")
    lab.a.run("ping", "-n", "-c", "2", "-i", "0.05", "-W", "1", "10.7.0.2", check_status=False)
    lab.b.run("ip", "link", "set", "wg0", "up")
    ping(lab.a)
