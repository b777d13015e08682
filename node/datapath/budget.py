"""How many small packets to ask for in a row.

Asking once more than there is costs a system call and an exception: next to nothing in a burst, a
tenth of the way of a packet that comes alone. Whoever waits with a level-triggered poll is told of
the rest anyway.
"""

from __future__ import annotations

_SOON_S = 1e-3


class Budget:
    """As many as there were the last time, twice as many when all came and soon after all again."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._full_at = float("-inf")
        self.next = 1
        """How many to take now; 1 at least."""

    def settle(self, taken: int, now: float, *, is_empty: bool) -> None:
        """Note how many were taken, and whether asking for another was in vain."""
        if is_empty:
            self.next = max(1, taken)
        elif taken >= self.next:
            if now - self._full_at < _SOON_S:
                self.next = min(self._most, 2 * self.next)
            self._full_at = now
