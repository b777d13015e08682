"""What WireGuard needs to know of the way a datagram came: bytes that name its source."""

from __future__ import annotations

from typing import Protocol, runtime_checkable


@runtime_checkable
class Path(Protocol):
    """A way to a peer: a UDP address, or a relay that carries datagrams. Hashable, immutable."""

    def cookie_source(self) -> bytes:
        """Return the bytes a cookie is bound to; the same for the same source every time."""

    def rate_source(self) -> bytes:
        """Return the bytes that share one handshake budget: an IPv4 address, an IPv6 /64."""
