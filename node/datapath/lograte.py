"""How many lines a second a log of the packet path takes; the rest is counted."""

from __future__ import annotations

__all__ = ["LogRate"]

RATE_PER_S = 10.0
BURST = 20.0


class LogRate:
    """A token bucket that knows how many were left out."""

    def __init__(self) -> None:
        self.suppressed = 0
        """Lines never logged, in all."""
        self._tokens = BURST
        self._at = float("-inf")
        self._since_last = 0

    def take(self, now: float) -> int | None:
        """Return how many lines were left out since the last one, or None: leave this one out."""
        if now > self._at:
            self._tokens = min(BURST, self._tokens + (now - self._at) * RATE_PER_S)
            self._at = now
        if self._tokens < 1:
            self.suppressed += 1
            self._since_last += 1
            return None
        self._tokens -= 1
        left_out, self._since_last = self._since_last, 0
        return left_out
