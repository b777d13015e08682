"""Carries WireGuard bursts by the path book's choice: a UDP address, a relay, or both."""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING, Final

from node.agent.ways import BestWay, RelayWay
from node.transport.spares import SpareSockets
from node.transport.udp import TransportError, UdpTransport

if TYPE_CHECKING:
    from collections.abc import Callable

    from node.paths.book import PathBook
    from node.paths.news import Route, SparesWanted
    from node.wireguard.path import Path

__all__ = ["MeshTransport", "RelaySend"]

ROUTE_KEPT_S: Final = 0.05
"""A proven direct path is asked for anew that often: the book's answer costs more than a send."""

RelaySend = tuple[bytes, int, bytes, int]
"""Node key, region (0: the peer's home), a burst, the size of its datagrams; the last may be
shorter."""


class MeshTransport(UdpTransport):
    """The UDP sockets, and a queue of what goes by relay. Lives in the packet loop's thread."""

    def __init__(self, book: PathBook, *, port: int, mark: int) -> None:
        """Open the sockets. Raises TransportError."""
        super().__init__(port, mark=mark)
        self.by_relay: list[RelaySend] = []
        """Bursts for relays, taken by the data path after each pump."""
        self.clock: Callable[[], float] = time.monotonic
        self.spares = SpareSockets(self._open_spare)
        self._book = book
        self._direct: dict[bytes, tuple[float, Route]] = {}

    def send(self, path: Path, burst: memoryview | bytes, segment: int) -> int:
        """Send datagrams of `segment` bytes; returns how many failed. Relays are best effort."""
        match path:
            case BestWay(node_key):
                return self._send_best(node_key, burst, segment)
            case RelayWay(node_key, region):
                self._queue(node_key, region, burst, segment)
                return 0
            case _:
                return super().send(path, burst, segment)

    def forget_routes(self) -> None:
        """Ask the book again: it has news."""
        self._direct.clear()

    def keep_spares(self, wanted: SparesWanted) -> None:
        """Close spare sockets that are wanted no more; bind addresses to those that stay."""
        self.spares.keep(wanted.opening, wanted.bound)
        self._bound = self.spares.bound
        for sock in self._bound.values():
            self._set_gro(sock, enabled=self.gso)

    def close(self) -> None:
        """Close the sockets."""
        self.spares.close()
        super().close()

    def _open_spare(self) -> socket.socket:
        try:
            return self._open(socket.AF_INET, 0)
        except TransportError as error:
            raise OSError(str(error)) from error

    def _send_best(self, node_key: bytes, burst: memoryview | bytes, segment: int) -> int:
        now = self.clock()
        known = self._direct.get(node_key)
        if known is not None and now < known[0]:
            route: Route | None = known[1]
        else:
            route = self._book.route(node_key, now)
            if route is not None and not route.by_relay:
                self._direct[node_key] = (now + ROUTE_KEPT_S, route)
        if route is None:
            return -(-len(burst) // segment)
        if route.by_relay:
            self._queue(node_key, 0, burst, segment)
        if route.endpoint is None:
            return 0
        failed = super().send(route.endpoint, burst, segment)
        if failed and self.knows_no_way:
            self._direct.pop(node_key, None)
            self._book.note_unreachable(node_key, route.endpoint, now)
            if not route.by_relay:
                self._queue(node_key, 0, burst, segment)
                return 0
        return failed

    def _queue(self, node_key: bytes, region: int, burst: memoryview | bytes, segment: int) -> None:
        # A copy: the buffer is filled anew before the agent's event loop has read it.
        self.by_relay.append((node_key, region, bytes(burst), segment))
