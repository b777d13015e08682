"""Which relay is home: the nearest of the last minutes, with reluctance to move.

A home that flaps makes peers reconnect each time, so the current one is kept while it is nearly
as good, and while it is heard from although a measurement missed it (relay reference 4.3).
"""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

__all__ = ["HISTORY_S", "HomeChooser"]

HISTORY_S = 305.0
"""Just over the time between full reports, so that one of them is always remembered."""

NEAR_NS = 10_000_000
RECENT_FRAME_S = 8.0
NO_DATA_S = 120.0
SHUNNED_S = 60.0
RETURN_S = 15.0
"""With every region failing, this is how often another one is home."""


class HomeChooser:
    """Remembers recent latencies and the current home."""

    def __init__(self) -> None:
        self.home = 0
        """The region last chosen, 0 for none."""
        self._history: deque[tuple[float, Mapping[int, int]]] = deque()

    def __len__(self) -> int:
        return len(self._history)

    def choose(
        self,
        latency_ns: Mapping[int, int],
        *,
        started_at: float,
        now: float,
        heard_at: Mapping[int, float],
        scores: Mapping[int, float] | None = None,
        forced: int = 0,
        failed_at: Mapping[int, float] | None = None,
    ) -> int:
        """Take a report's latencies and return the home from now on.

        `heard_at` tells when a region's relay last sent us any frame; `scores` multiply latencies,
        values not above zero are ignored; `forced` wins whenever it can be reached at all. A region
        that `failed_at` some moment of the last minute may answer STUN, but nobody can dial it.
        """
        never = now - SHUNNED_S - 1.0
        failed = failed_at or {}
        latency_ns = {
            region: ns
            for region, ns in latency_ns.items()
            if now - failed.get(region, never) > SHUNNED_S
        }
        self._history.append((now, dict(latency_ns)))
        while now - self._history[0][0] > HISTORY_S:
            self._history.popleft()
        current = _weighed(latency_ns, scores or {})
        heard_lately = {
            region
            for region, at in heard_at.items()
            if (at > started_at or now - at <= RECENT_FRAME_S) and at >= failed.get(region, at)
        }
        if forced and (forced in latency_ns or forced in heard_lately):
            self.home = forced
        elif not current:
            if now - heard_at.get(self.home, -NO_DATA_S - 1.0) > NO_DATA_S:
                self.home = 0
        else:
            self.home = self._keep_or_move(current, scores or {}, heard_lately)
        return self.home

    def leave(self, failed_at: Mapping[int, float], regions: Collection[int], now: float) -> int:
        """Leave a home that failed, without waiting for a report; return the home from now on.

        Of all `regions` the one that never failed, or whose failure is longest ago, is next; of
        several the nearest, and unmeasured ones by number, so that nodes meet. Who has nowhere to
        go stays.
        """
        best = self._best({})
        others = [
            (failed_at.get(region, 0.0), best.get(region, math.inf), region)
            for region in regions
            if region != self.home
            and (region not in failed_at or now - failed_at[region] >= RETURN_S)
        ]
        if self.home in failed_at and others:
            self.home = min(others)[2]
        return self.home

    def _keep_or_move(
        self, current: Mapping[int, float], scores: Mapping[int, float], heard: set[int]
    ) -> int:
        best_of = self._best(scores)
        # Regions measured long ago do not count: only what answers now can be home.
        candidate = min(current, key=lambda region: (best_of[region], region))
        home = self.home
        if home in {0, candidate} or not (home in current or home in heard):
            return candidate
        # Traffic alone proves that the old home lives; it then counts as no distance at all.
        old = current.get(home, 0.0)
        best = best_of[candidate]
        return home if old - best < NEAR_NS or best > old / 3 * 2 else candidate

    def _best(self, scores: Mapping[int, float]) -> dict[int, float]:
        best: dict[int, float] = {}
        for _at, latencies in self._history:
            for region, latency in _weighed(latencies, scores).items():
                best[region] = min(latency, best.get(region, latency))
        return best


def _weighed(latencies: Mapping[int, int], scores: Mapping[int, float]) -> dict[int, float]:
    return {
        region: latency * (scores.get(region, 0) if scores.get(region, 0) > 0 else 1)
        for region, latency in latencies.items()
    }
