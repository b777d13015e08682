"""Two whole data paths without a kernel: socket pairs for TUN devices, a list for the network."""

from __future__ import annotations

import ipaddress
import socket
from collections import deque
from typing import TYPE_CHECKING, cast

from node.datapath.contract import PeerConfig
from node.datapath.pipeline import PythonDataPath
from node.datapath.tun import Offloads, Tun
from node.datapath.virtio import GSO_UDP_L4, HEADER_BYTES, NO_OFFLOAD, VirtioHeader
from node.transport.endpoint import Endpoint
from node.wireguard.device import Device
from node.wireguard.keys import SecretKey
from tests.support.packets import split_slowly
from tests.support.wireguard_pair import Clock, SeededEntropy

if TYPE_CHECKING:
    from collections.abc import Callable

    from node.datapath.gate import InstalledFilter
    from node.transport.udp import UdpTransport
    from node.wireguard.path import Path

_BUFFER = 4 << 20


class FakeTun:
    """What the data path uses of a TUN device; the test holds the other end."""

    def __init__(self, offloads: Offloads) -> None:
        ours, self.kernel = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        for end in (ours, self.kernel):
            end.setblocking(False)
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
        self._ours = ours
        self.fd = ours.fileno()
        self.offloads = offloads

    def set_offloads(self, wanted: Offloads) -> None:
        self.offloads = wanted

    def close(self) -> None:
        self._ours.close()
        self.kernel.close()


class FakeTransport:
    """Keeps what is sent, as bursts of datagrams, and gives what has arrived."""

    def __init__(self) -> None:
        self.sent: list[list[bytes]] = []
        self.arrived: deque[tuple[bytes, int, Endpoint]] = deque()
        """Bursts, the size of their datagrams, and where they are from."""
        self.port = 0
        self.gso = True
        self.sockets: list[socket.socket] = []

    def send(self, path: Path, burst: memoryview | bytes, segment: int) -> int:  # noqa: ARG002  a contract
        data = bytes(burst)
        self.sent.append([data[at : at + segment] for at in range(0, len(data), segment)])
        return 0

    def receive(self, sock: socket.socket, buffer: memoryview) -> tuple[int, int, Endpoint] | None:  # noqa: ARG002  a contract
        if not self.arrived:
            return None
        burst, segment, source = self.arrived.popleft()
        buffer[: len(burst)] = burst
        return len(burst), segment, source


class End:
    """One data path, its fake TUN device and transport."""

    def __init__(
        self, name: str, clock: Clock, offloads: Offloads, installed: InstalledFilter | None
    ) -> None:
        self.entropy = SeededEntropy(name.encode())
        self.private = SecretKey.generate(self.entropy)
        self.device = Device(
            SecretKey(self.private.reveal()), entropy=self.entropy, unix_ns=clock.unix_ns
        )
        self.tun, self.transport = FakeTun(offloads), FakeTransport()
        self.path = PythonDataPath(
            cast("Tun", self.tun), cast("UdpTransport", self.transport), self.device, installed
        )

    def takes_arrived(self, now: float) -> None:
        """Take all bursts that arrived, as the packet loop does."""
        while self.path.from_socket(cast("socket.socket", None), now):
            pass

    def host_sends(self, packet: bytes, virtio: bytes = NO_OFFLOAD) -> None:
        self.tun.kernel.send(virtio + packet)

    def host_got(self) -> list[bytes]:
        """Read packets that reached the host, super-packets split again."""
        found: list[bytes] = []
        while True:
            try:
                data = self.tun.kernel.recv(1 << 17)
            except BlockingIOError:
                return found
            virtio, packet = data[:HEADER_BYTES], data[HEADER_BYTES:]
            if VirtioHeader.unpack_from(virtio).gso_type:
                found += split_slowly(virtio, packet)
            else:
                found.append(packet)


class DataPathPair:
    """Ends a (10.0.0.1, fd00::1) and b (10.0.0.2, fd00::2) and the network between them."""

    def __init__(
        self,
        *,
        offloads: Offloads = Offloads.TCP_AND_UDP,
        filter_of_b: InstalledFilter | None = None,
    ) -> None:
        self.clock = Clock()
        self.a = End("a", self.clock, offloads, None)
        self.b = End("b", self.clock, offloads, filter_of_b)
        self.where = {
            id(self.a): Endpoint.parse("192.0.2.1:1"),
            id(self.b): Endpoint.parse("192.0.2.2:2"),
        }
        for end, other, number in ((self.a, self.b, 2), (self.b, self.a, 1)):
            end.path.set_peer(
                PeerConfig(
                    public_key=other.private.public(),
                    allowed_ips=(
                        ipaddress.ip_network(f"10.0.0.{number}"),
                        ipaddress.ip_network(f"fd00::{number}"),
                    ),
                    path=self.where[id(other)],
                ),
                self.clock.now,
            )
        self.link: Callable[[list[bytes]], list[list[bytes]]] = lambda burst: [burst]
        """What becomes of a burst: the bursts that arrive."""

    def settle(self) -> None:
        """Pump everything until nothing moves."""
        busy = True
        while busy:
            busy = False
            for end, other in ((self.a, self.b), (self.b, self.a)):
                end.path.from_host(self.clock.now)
                due = end.path.deadline()
                if due is not None and due <= self.clock.now:
                    end.path.on_deadline(self.clock.now)
                bursts, end.transport.sent = end.transport.sent, []
                for burst in bursts:
                    busy = True
                    for arriving in self.link(burst):
                        self._arrive(other, arriving, self.where[id(end)])
                other.takes_arrived(self.clock.now)

    def _arrive(self, end: End, datagrams: list[bytes], source: Endpoint) -> None:
        """Hand datagrams over in runs of equal size with a shorter last, as GRO does."""
        run: list[bytes] = []
        for datagram in [*datagrams, b""]:
            if run and (len(run[-1]) != len(run[0]) or len(datagram) > len(run[0]) or not datagram):
                end.transport.arrived.append((b"".join(run), len(run[0]), source))
                run = []
            run.append(datagram)

    def close(self) -> None:
        for end in (self.a, self.b):
            end.tun.close()


def tcp_super(packet: bytes, mss: int) -> bytes:
    """Return the virtio header for a TCP super-packet."""
    v6 = packet[0] >> 4 == 6
    return VirtioHeader(1, 4 if v6 else 1, 0, mss, 40 if v6 else 20, 16).pack()


def udp_super(packet: bytes, size: int) -> bytes:
    """Return the virtio header for a UDP super-packet."""
    return VirtioHeader(1, GSO_UDP_L4, 0, size, 40 if packet[0] >> 4 == 6 else 20, 6).pack()
