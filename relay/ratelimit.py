"""Token buckets with injected time: one for bytes a client sends, one for rare events."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["RateLimit", "TokenBucket"]


@dataclass(frozen=True, slots=True)
class RateLimit:
    """So many units a second, and so many at once after a rest. A rate of 0 means no limit."""

    per_second: float
    burst: float


class TokenBucket:
    """Counts what may pass now, and what must wait how long."""

    __slots__ = ("_at", "_limit", "_tokens")

    def __init__(self, limit: RateLimit, now: float) -> None:
        self._limit = limit
        self._tokens = limit.burst
        self._at = now

    def replace(self, limit: RateLimit, now: float) -> None:
        """Apply another limit from now on; what was saved up stays, within the new burst."""
        self._refill(now)
        self._limit = limit
        self._tokens = min(self._tokens, limit.burst)

    def try_take(self, amount: float, now: float) -> bool:
        """Take `amount` if it is there now; otherwise take nothing."""
        if not self._limit.per_second:
            return True
        self._refill(now)
        if self._tokens < amount:
            return False
        self._tokens -= amount
        return True

    def charge(self, amount: float, now: float) -> float:
        """Take `amount` even into debt; return the seconds until the debt is paid."""
        if not self._limit.per_second:
            return 0.0
        self._refill(now)
        self._tokens -= amount
        return max(0.0, -self._tokens / self._limit.per_second)

    def _refill(self, now: float) -> None:
        # A clock that steps back must not mint tokens twice.
        elapsed = max(0.0, now - self._at)
        self._at = now
        self._tokens = min(self._limit.burst, self._tokens + elapsed * self._limit.per_second)
