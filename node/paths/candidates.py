"""Addresses that may lead to one peer: where each came from, and when it was last tried."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

from node.paths.timing import MAX_CANDIDATES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from node.transport.endpoint import Endpoint

__all__ = ["Candidate", "CandidateSet", "Origin", "is_plausible"]


class Origin(IntEnum):
    """How we came to know an address."""

    NETMAP = 1
    """Control said so."""
    CALL_ME_MAYBE = 2
    """The peer said so, by relay."""
    REFLEXIVE = 3
    """The peer's packets came from there."""


@dataclass(slots=True)
class Candidate:
    """One address and what was tried with it."""

    endpoint: Endpoint
    origins: set[Origin]
    noted_at: float
    pinged_at: float | None = None
    pinged_back_at: float | None = None

    def is_due(self, now: float, interval_s: float) -> bool:
        """Whether it is time to ping it again."""
        return self.pinged_at is None or now - self.pinged_at >= interval_s

    def may_ping_back(self, now: float, interval_s: float) -> bool:
        """Whether a ping that came from it may be answered by one of ours."""
        return self.pinged_back_at is None or now - self.pinged_back_at >= interval_s


def is_plausible(endpoint: Endpoint) -> bool:
    """Whether packets to an address can make sense; the peer, or whoever it is, chose it."""
    ip = endpoint.ip
    if not 0 < endpoint.port <= 0xFFFF or ip.is_multicast or ip.is_unspecified:
        return False
    return not (ip.version == 4 and ip.packed == b"\xff\xff\xff\xff")


class CandidateSet:
    """At most a hundred addresses; `is_allowed` rejects what lies inside our own tunnel."""

    def __init__(self, is_allowed: Callable[[Endpoint], bool]) -> None:
        self._is_allowed = is_allowed
        self._by_endpoint: dict[Endpoint, Candidate] = {}

    def __iter__(self) -> Iterator[Candidate]:
        return iter(list(self._by_endpoint.values()))

    def __len__(self) -> int:
        return len(self._by_endpoint)

    def __contains__(self, endpoint: Endpoint) -> bool:
        return endpoint in self._by_endpoint

    def replace(
        self, endpoints: Iterable[Endpoint], origin: Origin, now: float, keep: Endpoint | None
    ) -> None:
        """Install the whole list that one origin tells; what only it told before is forgotten.

        `keep` is never forgotten for others, only with its origin.
        """
        fresh = [e for e in endpoints if is_plausible(e) and self._is_allowed(e)]
        for candidate in self:
            candidate.origins.discard(origin)
        for endpoint in fresh[:MAX_CANDIDATES]:
            self._note(endpoint, origin, now)
        for candidate in self:
            if not candidate.origins:
                del self._by_endpoint[candidate.endpoint]
        self._prune({keep, *fresh[: MAX_CANDIDATES - 1]})

    def add(
        self, endpoint: Endpoint, origin: Origin, now: float, keep: Endpoint | None
    ) -> Candidate | None:
        """Note one address; None if it is not one to use. `keep` is never pruned."""
        if not is_plausible(endpoint) or not self._is_allowed(endpoint):
            return None
        candidate = self._note(endpoint, origin, now)
        self._prune({keep, endpoint})
        return candidate

    def forget_tries(self) -> None:
        """Make every address due again, as after our own network changed."""
        for candidate in self:
            candidate.pinged_at = None

    def _prune(self, keep: set[Endpoint | None]) -> None:
        surplus = len(self) - MAX_CANDIDATES
        if surplus > 0:
            spare = sorted(
                (c for c in self if c.endpoint not in keep),
                key=lambda candidate: candidate.noted_at,
            )
            for candidate in spare[:surplus]:
                del self._by_endpoint[candidate.endpoint]

    def _note(self, endpoint: Endpoint, origin: Origin, now: float) -> Candidate:
        candidate = self._by_endpoint.get(endpoint)
        if candidate is None:
            candidate = Candidate(endpoint, set(), now)
            self._by_endpoint[endpoint] = candidate
        candidate.origins.add(origin)
        candidate.noted_at = now
        return candidate
