"""Who is connected, with a grace for reconnects, and when ephemeral nodes are given up.

A machine without timers: calls say what happened and when, `due` says what follows by now.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Final

__all__ = ["Due", "Presence"]

OFFLINE_GRACE_S: Final = 10.0
ROUTER_GRACE_S: Final = 1.0
"""Of a node that routes: another may stand in for it, and its clients wait for that. A node that
lost nothing but its connection is back within that, unless its way here is a long one."""


@dataclass(frozen=True, slots=True)
class Due:
    """What the passing of time led to."""

    offline: tuple[int, ...]
    """Nodes that did not come back within the grace."""
    abandoned: tuple[int, ...]
    """Ephemeral nodes that stayed away too long."""


@dataclass(slots=True)
class Presence:
    """Streams come and go; a node is offline only some time after its last one ended."""

    ephemeral_timeout_s: float
    _streams: dict[int, int] = field(default_factory=dict)
    _leaving: dict[int, float] = field(default_factory=dict)
    _ephemeral: dict[int, float] = field(default_factory=dict)

    def expect(self, node_id: int, now: float) -> None:
        """Note an ephemeral node that is not connected: it has the full time to come."""
        if node_id not in self._streams:
            self._ephemeral.setdefault(node_id, now + self.ephemeral_timeout_s)

    def connected(self, node_id: int) -> None:
        """Note that a stream was established."""
        self._streams[node_id] = self._streams.get(node_id, 0) + 1
        self._leaving.pop(node_id, None)
        self._ephemeral.pop(node_id, None)

    def disconnected(
        self, node_id: int, now: float, *, is_ephemeral: bool, is_router: bool = False
    ) -> None:
        """Note that a stream ended; an older one's end does not count while a newer one lives."""
        left = self._streams.get(node_id, 0) - 1
        if left > 0:
            self._streams[node_id] = left
            return
        self._streams.pop(node_id, None)
        self._leaving[node_id] = now + (ROUTER_GRACE_S if is_router else OFFLINE_GRACE_S)
        if is_ephemeral:
            self._ephemeral[node_id] = now + self.ephemeral_timeout_s

    def forget(self, node_id: int) -> None:
        """Drop everything about a node that was deleted."""
        for table in (self._leaving, self._ephemeral):
            table.pop(node_id, None)

    def is_connected(self, node_id: int) -> bool:
        """Return whether a node has a stream here."""
        return node_id in self._streams

    @property
    def connected_nodes(self) -> tuple[int, ...]:
        """Nodes that have a stream here."""
        return tuple(self._streams)

    @property
    def next_offline_at(self) -> float:
        """When the grace of the next node ends; infinite where none has left."""
        return min(self._leaving.values(), default=math.inf)

    def due(self, now: float) -> Due:
        """Return what is due and forget it."""
        return Due(_take_due(self._leaving, now), _take_due(self._ephemeral, now))


def _take_due(table: dict[int, float], now: float) -> tuple[int, ...]:
    due = tuple(node_id for node_id, at in table.items() if at <= now)
    for node_id in due:
        del table[node_id]
    return due
