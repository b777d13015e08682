"""Which server holds which connected node, and which servers have fallen silent.

A machine without timers: calls say what was heard and when, `silenced` says what follows by now.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["BEAT_S", "SILENCE_S", "Liveness"]

BEAT_S: Final = 5.0
"""How often a server says that it is there."""
SILENCE_S: Final = 20.0
"""After how long it counts as dead: some lost messages and a busy moment do not suffice."""


@dataclass(slots=True)
class _Server:
    heard_at: float
    nodes: set[int] = field(default_factory=set)
    listed: set[int] | None = None
    """What came so far of a list that goes over several messages; None between lists."""


@dataclass(slots=True)
class Liveness:
    """The other servers. A node may be at two of them while it moves."""

    _servers: dict[str, _Server] = field(default_factory=dict)

    def heard(self, origin: str, now: float) -> bool:
        """Note a server's word; True if it was not known, so that it has to be told everything."""
        known = self._servers.get(origin)
        if known is None:
            self._servers[origin] = _Server(now)
            return True
        known.heard_at = now
        return False

    def put(self, origin: str, node_id: int, *, is_online: bool) -> None:
        """Note that a server that was heard holds a node, or no longer."""
        server = self._servers[origin]
        for nodes in (server.nodes, server.listed):
            if nodes is None:
                continue
            if is_online:
                nodes.add(node_id)
            else:
                nodes.discard(node_id)

    def list(self, origin: str, nodes: Iterable[int], *, is_last: bool) -> frozenset[int]:
        """Take a part of all the nodes that a server holds.

        With the last part, it holds these and no others: return those it no longer does.
        """
        server = self._servers[origin]
        listed = (server.listed or set()) | set(nodes)
        if not is_last:
            server.listed = listed
            return frozenset()
        gone = frozenset(server.nodes - listed)
        server.nodes, server.listed = listed, None
        return gone

    def is_held(self, node_id: int) -> bool:
        """Return whether any other server holds a node."""
        return any(node_id in server.nodes for server in self._servers.values())

    def silenced(self, now: float) -> tuple[int, ...]:
        """Forget servers that are dead by now; return the nodes that no other one holds."""
        dead = [o for o, server in self._servers.items() if server.heard_at + SILENCE_S <= now]
        lost: set[int] = set()
        for origin in dead:
            lost |= self._servers.pop(origin).nodes
        return tuple(sorted(node_id for node_id in lost if not self.is_held(node_id)))

    def restart(self, now: float) -> None:
        """Count silence anew: it was we who could not hear."""
        for server in self._servers.values():
            server.heard_at = now
