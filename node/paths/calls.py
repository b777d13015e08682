"""When to ask a peer to ping us, and when to ping what a peer asked us to: call-me-maybe.

Both sides send to all addresses of the other at about the same time, which is what opens two NATs
to one another. Source: relay reference 3.4 and 3.6; `node.paths.timing` says where we differ.
"""

from __future__ import annotations

from collections import deque

from node.paths.timing import CALL_ME_MAYBE_LEAST_S, CALL_ME_MAYBE_RETRY_S, CALLED_REPEATS_S

__all__ = ["Calls"]


class Calls:
    """The clocks of one peer's calls, both ways."""

    def __init__(self) -> None:
        self._called_at: float | None = None
        self._called_us_at: float | None = None
        self._repeats_at: deque[float] = deque()

    def take_ours(self, now: float) -> bool:
        """Whether to call the peer now; if so, that counts as done."""
        if self._called_at is not None and now - self._called_at < CALL_ME_MAYBE_RETRY_S:
            return False
        self._called_at = now
        return True

    def take_theirs(self, now: float) -> bool:
        """Whether to heed a call of the peer now; if so, it will be repeated."""
        if self._called_us_at is not None and now - self._called_us_at < CALL_ME_MAYBE_LEAST_S:
            return False
        self._called_us_at = now
        self._repeats_at = deque(now + after_s for after_s in CALLED_REPEATS_S)
        return True

    def take_repeats(self, now: float) -> int:
        """Return how many repetitions are due; they count as done."""
        count = 0
        while self._repeats_at and now >= self._repeats_at[0]:
            self._repeats_at.popleft()
            count += 1
        return count

    def deadline(self) -> float | None:
        """Return when the next repetition is due."""
        return self._repeats_at[0] if self._repeats_at else None

    def reset(self) -> None:
        """Forget what was asked: our own network changed."""
        self._called_at = None
        self._repeats_at.clear()
