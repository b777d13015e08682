"""What a relay can learn of two nodes that talk through it: everything its process saw, searched.

The relay stands behind a front that ends TLS, so that what passes between them on the loopback of
its host is every byte that the relay's process receives and sends, after decryption. The same
search, over a capture of the tunnel inside a node, shows that it would find what it looks for.
"""

from __future__ import annotations

import json
import os
import re
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import TYPE_CHECKING

import pytest

from control.keys import NodePrivate
from node.demo.lab import HUB_ADDRESS, Lab
from node.demo.network import postern, wait_until
from relay import frames
from relay.handshake import ClientInfo, greeting_box, open_client_info
from relay.server.tls import self_signed
from tests.support import netns, pcap
from tests.support.mesh import needs_mesh
from tests.support.two_nodes import PORT, A, B, TwoNodes

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.netns, needs_mesh(), netns.needs("tcpdump", "socat")]

INNER_PORT = 3341
ROUNDS = 300
TALK = """
import socket, sys
_, address, port, text, rounds = sys.argv
with socket.create_connection((address, int(port)), 10) as connection:
    stream = connection.makefile("rwb")
    for _ in range(int(rounds)):
        stream.write(text.encode() + b"\\n")
        stream.flush()
        assert stream.readline() == text.encode() + b"\\n"
print("same")
"""


class FrontedNetwork(TwoNodes):
    """Two nodes, with the relay in clear behind a front that ends TLS."""

    def start_relay(self) -> str:
        certificate, key, digest = self_signed(HUB_ADDRESS, datetime.now(UTC))
        chain = self.directory / "front.pem"
        chain.touch(mode=0o600)
        chain.write_bytes(key + certificate)
        self.relay = self.lab.start(
            "hub",
            *postern(
                "relay", "serve", "--plain", "--listen", f"127.0.0.1:{INNER_PORT}",
                "--stun-port", "-1", "--key-file", str(self.directory / "relay.json"),
                "--verify-client-url", f"http://{HUB_ADDRESS}:8080/verify",
            ),
            log="relay",
        )  # fmt: skip
        self.lab.start(
            "hub", "socat",
            f"OPENSSL-LISTEN:3340,bind={HUB_ADDRESS},fork,reuseaddr,cert={chain},verify=0",
            f"TCP:127.0.0.1:{INNER_PORT},nodelay",
            log="front",
        )  # fmt: skip
        wait_until(lambda: "serving on" in (self.directory / "relay.log").read_text(), "the relay")
        wait_until(lambda: ":3340" in self.lab.run("hub", "ss", "-ltn"), "the front")
        return f"sha256-raw:{digest}"


@dataclass(frozen=True, slots=True)
class Captures:
    """Both captures, and what was said meanwhile."""

    relay: Path
    tunnel: Path
    secrets: dict[str, bytes]
    """What no relay may see, by a name to say what was found."""
    keys: set[bytes]
    """Node keys of all members."""
    relay_key: str
    """The key file of the relay."""


def record(lab: Lab, host: str, interface: str) -> tuple[subprocess.Popen[bytes], Path]:
    """Start capturing; returns when every packet is seen."""
    path = lab.directory / f"{host}-{interface}.pcap"
    command = ("tcpdump", "-i", interface, "-Z", "root", "-U", "-s", "0", "-B", "32768")
    name = f"tcpdump-{interface}"
    process = lab.start(host, *command, "-w", str(path), log=name)
    log = lab.directory / f"{name}.log"
    wait_until(lambda: "listening on" in log.read_text(), "tcpdump")
    return process, path


def stop(lab: Lab, process: subprocess.Popen[bytes], interface: str) -> None:
    lab.stop(process)
    text = (lab.directory / f"tcpdump-{interface}.log").read_text()
    [dropped] = re.findall(r"(\d+) packets? dropped by kernel", text)
    assert dropped == "0", text


def spellings(address: str) -> dict[str, bytes]:
    """Return how an inner address could show: its bytes, its text, and its digits."""
    packed = ip_address(address).packed
    return {
        f"{address} packed": packed,
        f"{address} as text": address.encode(),
        f"{address} in hex": packed.hex().encode(),
    }


@pytest.fixture(scope="module")
def captures(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Captures]:
    with Lab(tmp_path_factory.mktemp("capture")) as lab:
        network = FrontedNetwork(lab)
        relay_dump, relay_path = record(lab, "hub", "lo")
        network.start_servers()
        network.shut_udp()
        network.join()
        tunnel_dump, tunnel_path = record(lab, B, "postern0")
        text = f"nobody-between-us-may-read-{os.urandom(12).hex()}"
        secrets = {"plaintext": text.encode(), "plaintext in hex": text.encode().hex().encode()}
        inner = {host: network.status(host)["TailscaleIPs"] for host in (A, B)}
        for address in inner[B]:
            talk = (sys.executable, "-c", TALK, address, str(PORT), text, str(ROUNDS))
            assert lab.run(A, *talk).strip() == "same"
        for address in (*inner[A], *inner[B]):
            secrets |= spellings(address)
        assert network.direct_way() == "", "the nodes found a way past the relay"
        nodes = network.api("GET", "node")["nodes"]
        keys = {bytes.fromhex(node["nodeKey"].removeprefix("nodekey:")) for node in nodes}
        stop(lab, tunnel_dump, "postern0")
        assert network.relay is not None
        lab.stop(network.relay)
        stop(lab, relay_dump, "lo")
        key_file = (lab.directory / "relay.json").read_text()
        yield Captures(relay_path, tunnel_path, secrets, keys, key_file)


def found_in(data: bytes, secrets: dict[str, bytes]) -> set[str]:
    return {name for name, secret in secrets.items() if secret.lower() in data.lower()}


def relay_streams(captures: Captures) -> dict[bool, list[bytes]]:
    """Return the streams of the relay's process: True what it received, False what it sent."""
    sides: dict[bool, list[bytes]] = {True: [], False: []}
    for (_source, from_port, _destination, to_port), stream in pcap.streams(captures.relay).items():
        if INNER_PORT in {from_port, to_port}:
            sides[to_port == INNER_PORT].append(stream)
    return sides


def derp_frames(captures: Captures, *, received: bool) -> list[frames.Frame | None]:
    """Return the frames of all DERP connections that the relay received, or that it sent."""
    head = b"GET /derp HTTP/1.1\r\n" if received else b"HTTP/1.1 101 "
    found: list[frames.Frame | None] = []
    for stream in relay_streams(captures)[received]:
        # Probes are not DERP, and a dial that was given up leaves an empty stream.
        if stream.startswith(head):
            body = stream.partition(b"\r\n\r\n")[2]
            found += [frames.decode(*raw) for raw in frames.FrameDecoder().feed(body)]
    return found


def test_the_tunnel_shows_all_that_is_searched_for(captures: Captures) -> None:
    # The positive control: the search finds addresses and text where they can be seen.
    data = b"".join(pcap.packets(captures.tunnel))
    visible = {name for name in captures.secrets if name == "plaintext" or "packed" in name}
    assert len(visible) == 5
    assert found_in(data, captures.secrets) >= visible


def test_search_finds_every_spelling(captures: Captures) -> None:
    for name, secret in captures.secrets.items():
        assert name in found_in(b"before" + secret + b"after", captures.secrets)


def test_relay_saw_the_whole_conversation(captures: Captures) -> None:
    # Each round crosses twice, in both address families: nothing went past the capture.
    found = derp_frames(captures, received=True)
    packets = [frame.packet for frame in found if isinstance(frame, frames.SendPacket)]
    assert len(packets) > 2 * 2 * ROUNDS
    assert sum(map(len, packets)) > 2 * 2 * ROUNDS * len(captures.secrets["plaintext"])


def test_relay_saw_no_inner_address_and_no_plaintext(captures: Captures) -> None:
    sides = relay_streams(captures)
    for stream in (*sides[True], *sides[False]):
        assert found_in(stream, captures.secrets) == set()


def test_relay_host_saw_neither_on_its_other_connections(captures: Captures) -> None:
    # The rest of the loopback is the relay's question who may use it, and the answer.
    data = b"".join(pcap.streams(captures.relay).values())
    assert b"/verify" in data
    assert found_in(data, captures.secrets) == set()


def test_relay_got_keys_sizes_and_sealed_packets_and_nothing_else(captures: Captures) -> None:
    for frame in derp_frames(captures, received=True):
        match frame:
            case frames.ClientInfoFrame(key):
                assert key in captures.keys
            case frames.SendPacket(destination, packet):
                assert destination in captures.keys
                assert is_sealed(packet)
            case frames.NotePreferred() | frames.Ping() | frames.Pong():
                pass
            case _:
                raise AssertionError(f"a relay needs no {frame}")


def is_sealed(packet: bytes) -> bool:
    """Whether a packet is WireGuard (any of its four messages) or sealed path discovery."""
    return frames.is_disco(packet) or (1 <= packet[0] <= 4 and packet[1:4] == bytes(3))


def test_relay_passed_on_exactly_what_it_got(captures: Captures) -> None:
    came, left = derp_frames(captures, received=True), derp_frames(captures, received=False)
    passed = {frame.packet for frame in left if isinstance(frame, frames.RecvPacket)}
    assert passed
    assert passed <= {frame.packet for frame in came if isinstance(frame, frames.SendPacket)}


def test_greeting_tells_nothing_but_versions(captures: Captures) -> None:
    # The relay can open this box: what it holds is what the relay knows.
    private = NodePrivate.from_secret_text(json.loads(captures.relay_key)["PrivateKey"])
    greetings = [
        open_client_info(frame.sealed, greeting_box(private, frame.key))
        for frame in derp_frames(captures, received=True)
        if isinstance(frame, frames.ClientInfoFrame)
    ]
    assert greetings
    assert set(greetings) == {ClientInfo()}
