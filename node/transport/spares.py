"""Sockets beside the main ones, opened to make a NAT give us more ports, mostly for seconds.

Each goes by a number, opens when it first sends, and closes when it is wanted no more. One file
descriptor stands for them all where a loop waits, so that loops need not know how many there are.
"""

from __future__ import annotations

import select
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Mapping

    from node.transport.endpoint import Endpoint

__all__ = ["SpareSockets"]

_AT_ONCE: Final = 64


class SpareSockets:
    """IPv4 UDP sockets by number; `open_socket` returns a bound one or raises OSError."""

    def __init__(self, open_socket: Callable[[], socket.socket]) -> None:
        self._open_socket = open_socket
        self._epoll = select.epoll()
        self._sockets: dict[int, socket.socket] = {}
        self._numbers: dict[int, int] = {}
        self.bound: dict[Endpoint, socket.socket] = {}
        """Addresses that are sent to from one of these sockets and no other."""
        self.failures = 0

    def __len__(self) -> int:
        return len(self._sockets)

    def fileno(self) -> int:
        """Return what becomes readable when one of the sockets does."""
        return self._epoll.fileno()

    def send(self, number: int, datagram: bytes, endpoint: Endpoint) -> None:
        """Send from a socket, opened now if it is not; trouble is counted and no more."""
        try:
            self._socket(number).sendto(datagram, endpoint.address)
        except OSError:
            # No more descriptors, no route: the round goes on with the sockets there are.
            self.failures += 1

    def ready(self) -> list[tuple[int, socket.socket]]:
        """Return sockets with something to read, and their numbers."""
        found = self._epoll.poll(0, _AT_ONCE)
        numbers = (self._numbers[fd] for fd, _ in found)
        return [(number, self._sockets[number]) for number in numbers]

    def keep(self, numbers: range, bound: Mapping[Endpoint, int]) -> None:
        """Close all sockets but these, and send to an address from the one bound to it."""
        for number in list(self._sockets):
            if number not in numbers and number not in bound.values():
                self._close(number)
        self.bound = {
            endpoint: self._sockets[number]
            for endpoint, number in bound.items()
            if number in self._sockets
        }

    def close(self) -> None:
        """Close everything."""
        self.keep(range(0), {})
        self._epoll.close()

    def _socket(self, number: int) -> socket.socket:
        sock = self._sockets.get(number)
        if sock is None:
            sock = self._sockets[number] = self._open_socket()
            self._numbers[sock.fileno()] = number
            self._epoll.register(sock.fileno(), select.EPOLLIN)
        return sock

    def _close(self, number: int) -> None:
        sock = self._sockets.pop(number)
        del self._numbers[sock.fileno()]
        self._epoll.unregister(sock.fileno())
        sock.close()
