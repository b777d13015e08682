"""One link to another server of the same region: watch its clients, forward to them.

A link is an ordinary client connection that presents the region's mesh key. What the other side
tells of its clients becomes forwarders in our router; when the link dies they all go (relay
reference 1.10). The other side never hands us packets on this connection: it has its own link.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from relay.frames import PeerGone, PeerPresent
from relay.session_client import ClientEvent, ClientSession, Disconnected

if TYPE_CHECKING:
    from relay.outbox import Outbox
    from relay.router import Router

__all__ = ["RECONNECT_S", "MeshLink"]

RECONNECT_S = 5.0


class MeshLink:
    """Keeps a router's forwarders in step with what one client session hears."""

    def __init__(self, router: Router, own_key: bytes) -> None:
        self._router = router
        self._own_key = own_key
        self._outbox: Outbox | None = None
        self._present: set[bytes] = set()

    def start(self, session: ClientSession) -> None:
        """Subscribe, once the session was welcomed."""
        self._outbox = session.outbox
        session.watch()

    def hear(self, event: ClientEvent) -> None:
        """Apply one event of the session."""
        match event:
            case PeerPresent(peer=key):
                self._add(key)
            case PeerGone(peer=key):
                self._remove(key)
            case Disconnected():
                for key in list(self._present):
                    self._remove(key)
            case _:
                # Packets, health and restarts of the other server are not for us.
                pass

    def _add(self, key: bytes) -> None:
        # Our own links are clients over there too; packets for servers do not exist.
        if key != self._own_key and self._outbox is not None:
            self._present.add(key)
            self._router.add_forwarder(key, self._outbox)

    def _remove(self, key: bytes) -> None:
        # One departure follows any number of arrivals: it means that the last one left.
        if key in self._present and self._outbox is not None:
            self._present.remove(key)
            self._router.remove_forwarder(key, self._outbox)
