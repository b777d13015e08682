"""When to look at which peer next: a heap with at most one live entry a peer."""

from __future__ import annotations

import heapq
import itertools
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from node.wireguard.peer import Peer


class Wakes:
    """Wake-ups of peers, the earliest first. Times are monotonic seconds."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Peer]] = []
        self._live: dict[Peer, float] = {}
        self._sequence = itertools.count()

    def first(self) -> float | None:
        """Return the earliest time, which may be of an entry that no longer counts."""
        return self._heap[0][0] if self._heap else None

    def schedule(self, peer: Peer, at: float | None) -> None:
        """Make sure that `peer` is woken no later than `at`; None asks for nothing."""
        if at is None or at >= self._live.get(peer, float("inf")):
            return
        self._live[peer] = at
        heapq.heappush(self._heap, (at, next(self._sequence), peer))

    def pop_due(self, now: float) -> Peer | None:
        """Return a peer that is due, and forget that wake-up; None when nobody is."""
        while self._heap and self._heap[0][0] <= now:
            at, _, peer = heapq.heappop(self._heap)
            if self._live.get(peer) == at:
                del self._live[peer]
                return peer
        return None

    def forget(self, peer: Peer) -> None:
        """Never wake this peer."""
        self._live.pop(peer, None)
