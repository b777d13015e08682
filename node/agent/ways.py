"""Ways to a peer that are no UDP address: by whatever the path book says, or by a relay.

WireGuard holds one of these as a peer's path; the transport turns it into addresses and relays
for each burst, so paths change without WireGuard's knowledge.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["BestWay", "RelayWay"]


@dataclass(frozen=True, slots=True)
class BestWay:
    """By the path that is best now."""

    node_key: bytes

    def cookie_source(self) -> bytes:
        """Return the peer's key."""
        return self.node_key

    def rate_source(self) -> bytes:
        """Return the peer's key."""
        return self.node_key


@dataclass(frozen=True, slots=True)
class RelayWay:
    """By the relay of a region, which vouches for the node key."""

    node_key: bytes
    region: int

    def cookie_source(self) -> bytes:
        """Return what the relay says of the source: the same for all its regions."""
        return b"relay" + self.node_key

    def rate_source(self) -> bytes:
        """Return the peer's key: one peer behind a relay must not use up another's share."""
        return self.node_key
