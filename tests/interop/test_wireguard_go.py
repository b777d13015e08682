"""Our interface against Debian's wireguard-go, in two hosts made of namespaces."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support import netns, transfer
from tests.support.netns import Lab, postern_wg, postern_wg_up, tunnels, until, wireguard_go_up

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.netns import Host, Tunnel

pytestmark = [pytest.mark.netns, netns.needs("wireguard-go", "wg", "nstat", "ping")]

TRANSFER = str(Path(transfer.__file__))
MSSES = (536, 1000, 1001, 1300, 0)


class Bed:
    """Host a runs ours, host b wireguard-go."""

    def __init__(self, lab: Lab, ours: Tunnel, theirs: Tunnel) -> None:
        self.a, self.b = lab.a, lab.b
        self.ours, self.theirs = ours, theirs
        self.go_name = f"wg{lab.b.name[-6:]}"
        self.up_ours()
        self.up_theirs()

    def up_ours(self, *options: str) -> None:
        self.our_process = postern_wg_up(self.a, self.ours, *options)

    def up_theirs(self) -> None:
        self.their_process = wireguard_go_up(self.b, self.theirs, self.go_name)

    def down_theirs(self) -> None:
        self.b.stop(self.their_process)
        Path(f"/var/run/wireguard/{self.go_name}.sock").unlink(missing_ok=True)

    def handshake_of_theirs(self) -> int:
        return int(self.b.run("wg", "show", self.go_name, "latest-handshakes").split()[-1])


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with netns.lab(tmp_path) as made:
        yield made


@pytest.fixture
def bed(lab: Lab) -> Iterator[Bed]:
    made = Bed(lab, *tunnels())
    yield made
    made.down_theirs()


def ping(host: Host, target: str, *options: str, count: int = 3) -> None:
    host.run("ping", "-n", "-c", str(count), "-i", "0.05", "-W", "5", *options, target)


@pytest.mark.parametrize("first", ["ours", "theirs"])
@pytest.mark.parametrize("preshared", [True, False], ids=["psk", "no_psk"])
def test_handshake_from_either_side(lab: Lab, first: str, preshared: bool) -> None:
    bed = Bed(lab, *tunnels(preshared=preshared))
    try:
        ping(bed.a if first == "ours" else bed.b, f"10.7.0.{2 if first == 'ours' else 1}")
    finally:
        bed.down_theirs()


def test_outer_ipv6(lab: Lab) -> None:
    bed = Bed(lab, *tunnels(outer6=True))
    try:
        ping(bed.a, "10.7.0.2")
        ping(bed.a, "fd07::2")
    finally:
        bed.down_theirs()


@pytest.mark.parametrize("size", [0, 1, 100, 1372, 1392, 1393, 4000, 30000])
def test_data_of_many_sizes_both_ways_in_both_families(bed: Bed, size: int) -> None:
    for host, number in ((bed.a, 2), (bed.b, 1)):
        ping(host, f"10.7.0.{number}", "-s", str(size))
        ping(host, f"fd07::{number}", "-s", str(size))


def test_wg_show_prints_what_wg_prints(bed: Bed) -> None:
    ping(bed.a, "10.7.0.2")
    ours = postern_wg(bed.a, "show", "wg0").strip().splitlines()
    theirs = bed.b.run("wg", "show", bed.go_name).strip().splitlines()
    labels = [[line.partition(":")[0] for line in text] for text in (ours, theirs)]
    assert labels[0] == labels[1]


def test_keys_equal_those_of_wg(bed: Bed) -> None:
    for _ in range(3):
        private = postern_wg(bed.a, "genkey").strip()
        raw = bed.a.run("wg", "pubkey", input=private)
        assert bed.a.run(*_postern("pubkey"), input=private, env=_environment()) == raw
    assert re.fullmatch(r"[A-Za-z0-9+/]{43}=\n", postern_wg(bed.a, "genpsk"))


def _postern(*arguments: str) -> tuple[str, ...]:
    code = "import sys; from node.cli import main; sys.exit(main())"
    return (sys.executable, "-c", code, "wg", *arguments)


def _environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(netns.REPOSITORY)}


def test_peer_that_moves_to_another_port_and_address_is_followed(bed: Bed) -> None:
    ping(bed.b, "10.7.0.1")
    bed.b.run("ip", "addr", "del", "192.0.2.2/24", "dev", "eth0")
    bed.b.run("ip", "addr", "add", "192.0.2.77/24", "dev", "eth0")
    bed.b.run("wg", "set", bed.go_name, "listen-port", "40404")
    ping(bed.b, "10.7.0.1")
    status = json.loads(postern_wg(bed.a, "show", "--json"))[0]
    assert status["peers"][0]["endpoint"] == "192.0.2.77:40404"
    ping(bed.a, "10.7.0.2")


def test_wireguard_go_follows_us(bed: Bed) -> None:
    ping(bed.a, "10.7.0.2")
    bed.a.run("ip", "addr", "del", "192.0.2.1/24", "dev", "eth0")
    bed.a.run("ip", "addr", "add", "192.0.2.78/24", "dev", "eth0")
    ping(bed.a, "10.7.0.2")
    assert "192.0.2.78" in bed.b.run("wg", "show", bed.go_name, "endpoints")


def test_restart_of_theirs(bed: Bed) -> None:
    ping(bed.a, "10.7.0.2")
    bed.down_theirs()
    bed.up_theirs()
    ping(bed.b, "10.7.0.1")
    ping(bed.a, "10.7.0.2")


def test_restart_of_ours(bed: Bed) -> None:
    ping(bed.a, "10.7.0.2")
    bed.a.stop(bed.our_process)
    bed.up_ours()
    ping(bed.a, "10.7.0.2")
    ping(bed.b, "10.7.0.1")


def test_interface_down_and_up(bed: Bed) -> None:
    ping(bed.a, "10.7.0.2")
    bed.a.run("ip", "link", "set", "wg0", "down")
    bed.a.run("ip", "link", "set", "wg0", "up")
    ping(bed.a, "10.7.0.2")


def test_outer_path_that_shrinks_and_grows_again(bed: Bed) -> None:
    transfer_between(bed, "10.7.0.2", 4_000_000, 0)
    bed.a.run("ip", "link", "set", "eth0", "mtu", "1300")
    transfer_between(bed, "10.7.0.2", 4_000_000, 0)
    bed.a.run("ip", "link", "set", "eth0", "mtu", "1500")
    transfer_between(bed, "10.7.0.2", 4_000_000, 0)


def transfer_between(bed: Bed, target: str, size: int, mss: int, *, back: bool = False) -> None:
    """Move `size` bytes to `target` and compare digests and checksum counters."""
    sender, receiver = (bed.b, bed.a) if back else (bed.a, bed.b)
    listener = receiver.start(*receiver.python(TRANSFER, "serve", target, "7777"), log="serve")
    try:
        until(lambda: ":7777" in receiver.run("ss", "-ltn"), "the receiver")
        before = [host.counter("TcpInCsumErrors") for host in (sender, receiver)]
        said = sender.run(
            *sender.python(TRANSFER, "send", target, "7777", str(size), "5", str(mss))
        )
        assert said.strip() == "same"
        assert [host.counter("TcpInCsumErrors") for host in (sender, receiver)] == before
    finally:
        receiver.stop(listener)


@pytest.mark.parametrize("mss", MSSES, ids=lambda mss: f"mss{mss or '_default'}")
@pytest.mark.parametrize("ipv6", [False, True], ids=["ipv4", "ipv6"])
def test_nothing_is_corrupted(bed: Bed, mss: int, ipv6: bool) -> None:
    for back in (False, True):
        number = 1 if back else 2
        target = f"fd07::{number}" if ipv6 else f"10.7.0.{number}"
        transfer_between(bed, target, 6_000_000, mss, back=back)


@pytest.mark.soak
@pytest.mark.parametrize("mss", MSSES, ids=lambda mss: f"mss{mss or '_default'}")
@pytest.mark.parametrize("ipv6", [False, True], ids=["ipv4", "ipv6"])
def test_a_gigabyte_is_not_corrupted(bed: Bed, mss: int, ipv6: bool) -> None:
    """Ten cases of 110 MB: over 1 GB in all."""
    target = "fd07::2" if ipv6 else "10.7.0.2"
    transfer_between(bed, target, 110_000_000, mss)


@pytest.mark.soak
def test_rekey_under_traffic(bed: Bed) -> None:
    """Two minutes of traffic: the initiator renews the session and no echo is lost."""
    ping(bed.a, "10.7.0.2")
    first = bed.handshake_of_theirs()
    said = bed.a.run("ping", "-n", "-c", "1350", "-i", "0.1", "-W", "5", "10.7.0.2")
    assert " 0% packet loss" in said
    assert bed.handshake_of_theirs() > first


FLOOD = """
import os, socket, sys, time
from node.transport.endpoint import Endpoint
from node.wireguard.device import Device
from node.wireguard.keys import SecretKey, decode_key
victim, sockets = decode_key(sys.argv[1]), []
end = time.monotonic() + float(sys.argv[2])
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.bind(("192.0.2.99", 0))
while time.monotonic() < end:
    device = Device(SecretKey.generate(os.urandom), entropy=os.urandom, unix_ns=time.time_ns)
    peer = device.add_peer(victim)
    peer.path = Endpoint.parse("192.0.2.1:51820")
    batch = []
    for _ in range(8):
        peer.last_initiation_sent_at = float("-inf")
        device.send(peer, b"", 0.0)
        batch += device.transmit()
    for _ in range(100):
        for datagram in batch:
            sock.sendto(datagram.data, ("192.0.2.1", 51820))
"""


def test_under_a_flood_a_cookie_lets_wireguard_go_in(bed: Bed) -> None:
    bed.b.run("ip", "addr", "add", "192.0.2.99/24", "dev", "eth0")
    public = json.loads(postern_wg(bed.a, "show", "--json"))[0]["public_key"]
    flood = bed.b.start(
        *bed.b.python("-c", FLOOD, public, "14"), log="flood", PYTHONPATH=str(netns.REPOSITORY)
    )
    until(lambda: "handshake_rate" in drops(bed) or "handshake_queue_full" in drops(bed)
          or "wireguard_unknown_peer" in drops(bed), "the flood")  # fmt: skip
    capture = bed.b.start("tcpdump", "-n", "-i", "eth0", "-w", str(bed.b.directory / "f.pcap"),
                          "udp src port 51820 and less 106", log="tcpdump")  # fmt: skip
    until(lambda: b"listening" in (bed.b.directory / f"{bed.b.name}.tcpdump").read_bytes(), "dump")
    bed.b.run("ping", "-n", "-c", "60", "-i", "0.2", "-W", "2", "10.7.0.1", check_status=False)
    assert flood.poll() is None or flood.returncode == 0
    bed.b.stop(capture)
    ping(bed.b, "10.7.0.1")
    packets = subprocess.run(
        ("tcpdump", "-nr", str(bed.b.directory / "f.pcap")),
        capture_output=True,
        text=True,
        check=False,
    ).stdout
    assert "length 64" in packets


def drops(bed: Bed) -> dict[str, int]:
    found: dict[str, int] = json.loads(postern_wg(bed.a, "show", "--json"))[0]["drops"]
    return found
