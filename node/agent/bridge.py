"""From the packet loop's thread to the agent's event loop, without losing order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import asyncio

    from node.agent.mesh_transport import RelaySend
    from node.paths.news import BookEvent

__all__ = ["Bridge", "BridgeOwner"]


class BridgeOwner(Protocol):
    """Who takes what the packet path says, in the event loop."""

    def on_relay(self, datagrams: list[RelaySend]) -> None:
        """Send datagrams by relay."""

    def on_stun(self, datagram: bytes, now: float) -> None:
        """Take a STUN datagram."""

    def on_path_news(self, event: BookEvent) -> None:
        """Take what the path book reports."""


class Bridge:
    """Implements `mesh_path.Outside` for an owner that lives in an event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, owner: BridgeOwner) -> None:
        self._loop = loop
        self._owner = owner

    def relay(self, datagrams: list[RelaySend]) -> None:
        """Send datagrams by relay."""
        self._loop.call_soon_threadsafe(self._owner.on_relay, datagrams)

    def stun(self, datagram: bytes, now: float) -> None:
        """Take a STUN datagram."""
        self._loop.call_soon_threadsafe(self._owner.on_stun, datagram, now)

    def path_news(self, event: BookEvent) -> None:
        """Take what the path book reports."""
        self._loop.call_soon_threadsafe(self._owner.on_path_news, event)
