"""Bursts take the way that the path book chose."""

from __future__ import annotations

import errno
import os
import socket
from typing import TYPE_CHECKING

import pytest

from control.keys import DiscoPrivate
from node.agent.mesh_transport import MeshTransport
from node.agent.ways import BestWay, RelayWay
from node.disco.messages import Ping, Pong
from node.paths.book import PathBook, PeerAddresses
from node.paths.news import SparesWanted
from node.transport.endpoint import Endpoint

if TYPE_CHECKING:
    from collections.abc import Iterator

KEY, DISCO = b"k" * 32, DiscoPrivate.generate(os.urandom).public.raw
REGION = 1


@pytest.fixture
def transport() -> Iterator[MeshTransport]:
    book = PathBook(DiscoPrivate.generate(os.urandom), b"o" * 32, os.urandom)
    book.set_peers([PeerAddresses(KEY, DISCO, (), REGION)], 0.0)
    made = MeshTransport(book, port=0, mark=0)
    yield made
    made.close()


def test_unproven_path_goes_by_relay_in_whole_bursts(transport: MeshTransport) -> None:
    buffer = bytearray(b"aaabbbc")
    assert transport.send(BestWay(KEY), memoryview(buffer), 3) == 0
    buffer[:] = bytes(7)
    assert transport.by_relay == [(KEY, 0, b"aaabbbc", 3)]


def test_answer_by_relay_goes_back_through_its_region(transport: MeshTransport) -> None:
    transport.send(RelayWay(KEY, 9), b"x", 1)
    assert transport.by_relay == [(KEY, 9, b"x", 1)]


def test_peer_that_left_the_netmap_gets_nothing(transport: MeshTransport) -> None:
    assert transport.send(BestWay(b"g" * 32), b"aabb", 2) == 2
    assert transport.by_relay == []


def test_address_is_sent_to_at_once(transport: MeshTransport) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(5)
        to = Endpoint.from_text("127.0.0.1", receiver.getsockname()[1])
        assert transport.send(to, b"hello", 5) == 0
        assert receiver.recv(100) == b"hello"


def test_address_bound_to_a_spare_socket_is_sent_to_from_there(transport: MeshTransport) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(5)
        to = Endpoint.from_text("127.0.0.1", receiver.getsockname()[1])
        transport.spares.send(3, b"ping", to)
        spare = receiver.recvfrom(100)[1]
        assert spare[1] != transport.port
        transport.keep_spares(SparesWanted(range(0), {to: 3}))
        transport.send(to, b"aabb", 2)
        assert [receiver.recvfrom(100) for _ in range(2)] == [(b"aa", spare), (b"bb", spare)]
        transport.keep_spares(SparesWanted(range(0), {}))
        transport.send(to, b"hello", 5)
        assert receiver.recvfrom(100)[1][1] == transport.port
    assert len(transport.spares) == 0


class Unreachable:
    """A socket whose sends fail as a kernel's without a route do."""

    def __init__(self, code: int) -> None:
        self.code = code

    def sendto(self, *_: object) -> int:
        raise OSError(self.code, os.strerror(self.code))

    def sendmsg(self, *_: object) -> int:
        raise OSError(self.code, os.strerror(self.code))


@pytest.mark.parametrize("burst", [b"aaa", b"aaabbb"])
@pytest.mark.parametrize(
    ("code", "by_relay"),
    [(errno.EHOSTUNREACH, True), (errno.ENETUNREACH, True), (errno.ENOBUFS, False)],
)
def test_path_that_the_kernel_knows_no_way_to_is_left_with_the_packet_that_met_it(
    transport: MeshTransport, burst: bytes, code: int, by_relay: bool
) -> None:
    book, there = transport._book, Endpoint.parse("192.0.2.1:41641")
    prove(book, there)
    transport.clock = lambda: 0.0
    transport._by_version[4] = Unreachable(code)  # type: ignore[assignment]
    assert bool(transport.send(BestWay(KEY), burst, 3)) is not by_relay
    assert transport.by_relay == ([(KEY, 0, burst, 3)] if by_relay else [])
    path = book.path(KEY)
    assert path is not None
    assert (path.best is None) is by_relay


def prove(book: PathBook, endpoint: Endpoint) -> None:
    """Make an address the proven path to our one peer."""
    book.set_peers([PeerAddresses(KEY, DISCO, (endpoint,), REGION)], 0.0)
    path = book.path(KEY)
    assert path is not None
    path.ping_now(0.0)
    for outgoing in path.transmit():
        if outgoing.endpoint == endpoint and isinstance(outgoing.message, Ping):
            path.receive_pong(Pong(outgoing.message.transaction, endpoint), endpoint, 0.0)
    assert path.best is not None
