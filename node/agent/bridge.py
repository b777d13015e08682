"""From the packet loop's thread to the agent's event loop, without losing order."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import asyncio

    from node.agent.mesh_transport import RelaySend
    from node.paths.news import BookEvent

__all__ = ["Bridge", "BridgeOwner"]


class BridgeOwner(Protocol):
    """Who takes what the packet path says, in the event loop."""

    def on_relay(self, bursts: list[RelaySend]) -> None:
        """Send bursts by relay."""

    def on_stun(self, datagram: bytes, now: float) -> None:
        """Take a STUN datagram."""

    def on_path_news(self, event: BookEvent) -> None:
        """Take what the path book reports."""


class Bridge:
    """Implements `mesh_path.Outside` for an owner that lives in an event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, owner: BridgeOwner) -> None:
        self._loop = loop
        self._owner = owner
        self._bursts: deque[list[RelaySend]] = deque()
        self._is_asked = False

    def relay(self, bursts: list[RelaySend]) -> None:
        """Send bursts by relay."""
        self._bursts.append(bursts)
        if not self._is_asked:
            # While the event loop is busy, what comes meanwhile waits for the same call.
            self._is_asked = True
            self._loop.call_soon_threadsafe(self._hand_over)

    def _hand_over(self) -> None:
        # Before anything is taken: what is put there from now on asks again.
        self._is_asked = False
        bursts: list[RelaySend] = []
        while self._bursts:
            bursts += self._bursts.popleft()
        if bursts:
            self._owner.on_relay(bursts)

    def stun(self, datagram: bytes, now: float) -> None:
        """Take a STUN datagram."""
        self._loop.call_soon_threadsafe(self._owner.on_stun, datagram, now)

    def path_news(self, event: BookEvent) -> None:
        """Take what the path book reports."""
        self._loop.call_soon_threadsafe(self._owner.on_path_news, event)
