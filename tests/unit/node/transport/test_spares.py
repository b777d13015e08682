"""Spare sockets: opened when they send, one descriptor for all, closed when not wanted."""

from __future__ import annotations

import errno
import select
import socket
from typing import TYPE_CHECKING

import pytest

from node.transport.endpoint import Endpoint
from node.transport.spares import SpareSockets

if TYPE_CHECKING:
    from collections.abc import Iterator

LIMIT_MS = 5000


def open_socket() -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", 0))
    return sock


@pytest.fixture
def spares() -> Iterator[SpareSockets]:
    made = SpareSockets(open_socket)
    yield made
    made.close()


@pytest.fixture
def peer() -> Iterator[socket.socket]:
    with open_socket() as sock:
        sock.settimeout(LIMIT_MS / 1000)
        yield sock


def endpoint_of(sock: socket.socket) -> Endpoint:
    return Endpoint.from_sockaddr(sock.getsockname())


def is_readable(spares: SpareSockets) -> bool:
    poll = select.poll()
    poll.register(spares.fileno(), select.POLLIN)
    return bool(poll.poll(LIMIT_MS))


def test_each_number_is_a_socket_of_its_own(spares: SpareSockets, peer: socket.socket) -> None:
    sources = set()
    for number in (1, 2, 3, 1):
        spares.send(number, b"ping", endpoint_of(peer))
        sources.add(peer.recvfrom(100)[1])
    assert len(sources) == len(spares) == 3


def test_answer_wakes_the_one_descriptor_and_names_the_socket(
    spares: SpareSockets, peer: socket.socket
) -> None:
    addresses = {}
    for number in (5, 6, 7):
        spares.send(number, b"ping", endpoint_of(peer))
        addresses[number] = peer.recvfrom(100)[1]
    peer.sendto(b"pong", addresses[6])
    assert is_readable(spares)
    [(number, sock)] = spares.ready()
    assert (number, sock.recv(100)) == (6, b"pong")
    assert spares.ready() == []


def test_only_what_is_wanted_stays_open(spares: SpareSockets, peer: socket.socket) -> None:
    to = endpoint_of(peer)
    for number in range(1, 9):
        spares.send(number, b"ping", to)
    spares.keep(range(7, 9), {to: 3})
    assert len(spares) == 3
    assert list(spares.bound) == [to]
    peer.recvfrom(100)
    spares.keep(range(0), {to: 3})
    assert len(spares) == 1
    spares.keep(range(0), {})
    assert (len(spares), spares.bound) == (0, {})


def test_nothing_is_bound_to_a_socket_that_never_opened(
    spares: SpareSockets, peer: socket.socket
) -> None:
    spares.keep(range(0), {endpoint_of(peer): 4})
    assert spares.bound == {}


def test_no_more_descriptors_is_counted_not_raised(peer: socket.socket) -> None:
    def refuse() -> socket.socket:
        raise OSError(errno.EMFILE, "too many open files")

    spares = SpareSockets(refuse)
    spares.send(1, b"ping", endpoint_of(peer))
    assert (spares.failures, len(spares)) == (1, 0)
    spares.close()


def test_closing_closes_every_socket(peer: socket.socket) -> None:
    opened = []

    def remember() -> socket.socket:
        opened.append(open_socket())
        return opened[-1]

    spares = SpareSockets(remember)
    for number in range(1, 20):
        spares.send(number, b"ping", endpoint_of(peer))
    spares.close()
    assert len(opened) == 19
    assert all(sock.fileno() == -1 for sock in opened)
