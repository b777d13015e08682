"""How long a server waits for one client: greeting, verdict, reading; and when to say hello.

Times are seconds on the driver's clock, which comes in as an argument (relay reference 1.6, 1.7).
"""

from __future__ import annotations

from enum import Enum

__all__ = ["HANDSHAKE_S", "Due", "Patience"]

HANDSHAKE_S = 10.0
KEEPALIVE_S = 60.0
KEEPALIVE_JITTER_S = 5.0
MESH_WRITE_TIMEOUT_S = 30.0


class Due(Enum):
    """What has to be done now."""

    GIVE_UP_GREETING = "no word in time"
    GIVE_UP_WRITING = "client does not read"
    KEEPALIVE = "keepalive"


class Patience:
    """The clocks of one connection: first for each half of the greeting, then while it is open."""

    __slots__ = ("_every", "_handshake_by", "_is_open", "_keepalive_at", "_stuck_since", "_timeout")

    def __init__(self, write_timeout_s: float, jitter: float, now: float) -> None:
        """`jitter`, from 0 to 1, keeps the keepalives of many clients apart."""
        self._timeout = write_timeout_s
        self._every = KEEPALIVE_S + jitter * KEEPALIVE_JITTER_S
        self._keepalive_at = now + self._every
        self._handshake_by = now + HANDSHAKE_S
        self._stuck_since: float | None = None
        self._is_open = False

    def await_verdict(self, now: float) -> None:
        """Give the second half of the greeting as long as the first."""
        self._handshake_by = now + HANDSHAKE_S

    def open(self, *, is_mesh_peer: bool) -> None:
        """Stop timing the greeting. Mesh peers may be stuck for longer, if anybody is timed."""
        self._is_open = True
        if is_mesh_peer and self._timeout:
            self._timeout = MESH_WRITE_TIMEOUT_S

    def pause(self, now: float) -> None:
        """Note that the client takes no bytes."""
        self._stuck_since = now

    def resume(self) -> None:
        """Note that the client takes bytes again."""
        self._stuck_since = None

    def note_progress(self, now: float) -> None:
        """Start the write timeout again: the transport still is full, but some bytes left it."""
        if self._stuck_since is not None:
            self._stuck_since = now

    def deadline(self) -> float:
        """Return when something is due."""
        if not self._is_open:
            return self._handshake_by
        stuck = self._stuck_until()
        return self._keepalive_at if stuck is None else min(stuck, self._keepalive_at)

    def take_due(self, now: float) -> Due | None:
        """Return what is due; a keepalive that is due is taken for sent."""
        if not self._is_open:
            return Due.GIVE_UP_GREETING if now >= self._handshake_by else None
        stuck = self._stuck_until()
        if stuck is not None and now >= stuck:
            return Due.GIVE_UP_WRITING
        if now < self._keepalive_at:
            return None
        self._keepalive_at = now + self._every
        return Due.KEEPALIVE

    def _stuck_until(self) -> float | None:
        if self._stuck_since is None or not self._timeout:
            return None
        return self._stuck_since + self._timeout
