"""Whether the path in use still works: what it proved, what it was asked, how long it is silent.

A path is trusted for a while after each proof, which is a pong or a WireGuard packet from there.
It is doubted at once when a question about it stays open for too long, and questions are asked as
soon as packets go out and nothing comes back.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from node.paths.timing import PROBE_LATENCIES, PROBE_LEAST_S, SILENCE_S, TRUST_S

if TYPE_CHECKING:
    from collections.abc import Iterable

    from node.paths.score import Quality
    from node.transport.endpoint import Endpoint

__all__ = ["Proof", "Purpose", "Question"]


class Purpose(Enum):
    """Why a ping was sent."""

    DISCOVERY = "discovery"
    HEARTBEAT = "heartbeat"
    LIVENESS = "liveness"
    FOLLOW = "follow"
    USER = "user"


@dataclass(frozen=True, slots=True)
class Question:
    """A ping that waits for its pong."""

    endpoint: Endpoint | None
    sent_at: float
    purpose: Purpose


class Proof:
    """Belongs to one best address at a time; `best` is handed in by the path that holds it."""

    def __init__(self) -> None:
        self.is_doubted = False
        self._trusted_until = 0.0
        self._proved_at = 0.0
        self._data_at: float | None = None
        self._unheard_since: float | None = None

    def is_trusted(self, now: float) -> bool:
        """Whether packets may go by this path alone."""
        return not self.is_doubted and now <= self._trusted_until

    def note_pong(self, now: float) -> None:
        """Note that the path answered."""
        self._note(now)
        self._trusted_until = now + TRUST_S

    def note_data(self, now: float) -> None:
        """Note an authenticated packet from there."""
        self._data_at = now
        self._note(now)

    def note_sent(self, now: float) -> None:
        """Note that a packet goes out, which something should come back for."""
        if self._unheard_since is None:
            self._unheard_since = now

    def reset(self) -> None:
        """Trust nothing any more: our own network changed."""
        self.is_doubted = False
        self._trusted_until = 0.0
        self._unheard_since = self._data_at = None

    def has_data_since(self, moment: float) -> bool:
        """Whether an authenticated packet came from there since a moment."""
        return self._data_at is not None and self._data_at >= moment

    def is_silent(self, now: float) -> bool:
        """Whether we have been sending for a second and heard nothing."""
        return self._unheard_since is not None and now >= self._unheard_since + SILENCE_S

    def doubt(self, best: Quality, questions: Iterable[Question], now: float) -> None:
        """Doubt the path if a question about it is open for too long."""
        asked_at = self._asked_at(best, questions)
        if any(now >= at + _patience_s(best) for at in asked_at):
            self.is_doubted = True

    def deadline(self, best: Quality, questions: Iterable[Question]) -> float | None:
        """Return when silence has to be asked about, or an open question becomes a doubt."""
        if self.is_doubted:
            return None
        asked_at = self._asked_at(best, questions)
        if asked_at:
            return min(asked_at) + _patience_s(best)
        return None if self._unheard_since is None else self._unheard_since + SILENCE_S

    def _note(self, now: float) -> None:
        # What was asked before and stayed unanswered is a lost packet, not a lost path.
        self._proved_at = now
        self.is_doubted = False
        self._unheard_since = None

    def _asked_at(self, best: Quality, questions: Iterable[Question]) -> list[float]:
        return [
            question.sent_at
            for question in questions
            if question.endpoint == best.endpoint and question.sent_at >= self._proved_at
        ]


def _patience_s(best: Quality) -> float:
    return max(PROBE_LEAST_S, PROBE_LATENCIES * best.latency_ns / 1e9)
