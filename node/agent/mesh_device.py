"""WireGuard among nodes: the peers' paths belong to the path book, which hears what arrives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from node.transport.endpoint import Endpoint
from node.wireguard.device import Device

if TYPE_CHECKING:
    from node.wireguard.path import Path
    from node.wireguard.peer import Peer
    from node.wireguard.session import Session

__all__ = ["MeshDevice"]


class MeshDevice(Device):
    """A device whose peers do not roam, plain WireGuard peers excepted."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, roams=False, **options)
        self.heard: dict[bytes, Path] = {}
        """Where authentic messages came from since this was last emptied, by node key."""

    def note_received(
        self, session: Session, path: Path, wire_bytes: int, now: float, *, has_data: bool
    ) -> Peer | None:
        """Record authentic messages and the way that they came."""
        peer = super().note_received(session, path, wire_bytes, now, has_data=has_data)
        if peer is not None:
            self.heard[peer.public_key] = path
            if isinstance(peer.path, Endpoint) and isinstance(path, Endpoint):
                peer.path = path
        return peer
