"""One link to another server of the same region: watch its clients, forward to them.

A link is an ordinary client connection that presents the region's mesh key. What the other side
tells of its clients becomes forwarders in our router; when the link dies they all go (relay
reference 1.10). The other side never hands us packets on this connection: it has its own link.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from relay.frames import PeerGone, PeerPresent
from relay.session_client import ClientSession, Disconnected, RelayReady

if TYPE_CHECKING:
    from relay.router import Router

__all__ = ["RECONNECT_S", "MeshLink"]

RECONNECT_S = 5.0


class MeshLink:
    """Keeps a router's forwarders in step with what one client session hears."""

    def __init__(self, session: ClientSession, router: Router, own_key: bytes) -> None:
        self._session = session
        self._router = router
        self._own_key = own_key
        self._present: set[bytes] = set()
        self.is_self = False
        """Set when the other end turned out to be this very server: never dial it again."""

    def pump(self) -> Disconnected | None:
        """Apply what the session heard; return its end, after which the link is useless."""
        if self._session.server_key == self._own_key and not self.is_self:
            self.is_self = True
            self._session.disconnected("connected to ourselves")
        while (event := self._session.next_event()) is not None:
            match event:
                case RelayReady():
                    self._session.watch()
                case PeerPresent(peer=key):
                    self._add(key)
                case PeerGone(peer=key):
                    self._remove(key)
                case Disconnected():
                    self._lose_all()
                    return event
                case _:
                    # Packets, health and restarts of the other server are not for us.
                    pass
        return None

    def _add(self, key: bytes) -> None:
        # Our own links are clients over there too; packets for servers do not exist.
        if key != self._own_key:
            self._present.add(key)
            self._router.add_forwarder(key, self._session.outbox)

    def _remove(self, key: bytes) -> None:
        # One departure follows any number of arrivals: it means that the last one left.
        if key in self._present:
            self._present.remove(key)
            self._router.remove_forwarder(key, self._session.outbox)

    def _lose_all(self) -> None:
        for key in self._present:
            self._router.remove_forwarder(key, self._session.outbox)
        self._present.clear()
