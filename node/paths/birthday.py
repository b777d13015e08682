"""Guessing a port of a hard NAT: many sockets on one side, many guesses on the other.

A NAT that maps each destination to another port gives every new socket one more open port. If
its owner (the hard side) sends from 256 sockets to our one known address, and we (the easy side)
send to random ports of its public address, some guess soon meets an open port: with 256 of 64512
ports open, 174 guesses succeed half of the time and 1024 in 98 of 100 (relay reference 5.3).

That looks like a port scan and fills tables in home routers, so it is opt-in, bounded in number
and rate, and not repeated against the same peer for an hour. Two hard sides never try: they would
have to meet on both ports at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final

from node.transport.endpoint import Endpoint

if TYPE_CHECKING:
    from ipaddress import IPv4Address, IPv6Address

    from control.keys import Entropy

__all__ = ["BirthdayPlan", "BirthdayProber", "Role", "hit_probability", "role_for"]

SOCKETS: Final = 256
MAX_GUESSES: Final = 1024
GUESSES_PER_SECOND: Final = 100
MIN_INTERVAL_S: Final = 3600.0
FIRST_PORT: Final = 1024
PORTS: Final = 65_536 - FIRST_PORT


class Role(Enum):
    """Who does what."""

    OPEN_SOCKETS = "open sockets"
    """Our NAT is the hard one: send from many sockets to the peer's one address."""
    GUESS = "guess"
    """The peer's NAT is the hard one: send to many of its ports."""


@dataclass(frozen=True, slots=True)
class BirthdayPlan:
    """What to do once for a peer that ordinary discovery did not reach."""

    role: Role
    sockets: int
    guesses: int


def role_for(*, is_own_nat_hard: bool, is_peer_nat_hard: bool) -> BirthdayPlan | None:
    """Return our part, None where guessing cannot help or is not needed."""
    if is_own_nat_hard == is_peer_nat_hard:
        return None
    if is_own_nat_hard:
        return BirthdayPlan(Role.OPEN_SOCKETS, SOCKETS, 0)
    return BirthdayPlan(Role.GUESS, 0, MAX_GUESSES)


def hit_probability(guesses: int, sockets: int = SOCKETS) -> float:
    """Return how likely so many distinct guesses meet one of so many open ports."""
    miss = 1.0
    for made in range(guesses):
        miss *= 1 - sockets / (PORTS - made)
    return 1 - miss


class BirthdayProber:
    """The guessing side for one peer: distinct ports, a hundred a second, until told to stop."""

    def __init__(self, entropy: Entropy, max_guesses: int = MAX_GUESSES) -> None:
        self._entropy = entropy
        self._max_guesses = max_guesses
        self._address: IPv4Address | IPv6Address | None = None
        self._started_at: float | None = None
        self._tried: set[int] = set()

    @property
    def is_running(self) -> bool:
        """Whether guesses are still to come."""
        return self._address is not None

    def start(self, address: IPv4Address | IPv6Address, now: float) -> bool:
        """Begin against a public address; False within an hour of the last beginning."""
        if self._started_at is not None and now - self._started_at < MIN_INTERVAL_S:
            return False
        self._address, self._started_at = address, now
        self._tried.clear()
        return True

    def stop(self) -> None:
        """End: a guess was answered, or the path is wanted no more."""
        self._address = None

    def deadline(self) -> float | None:
        """Return when the next guess is due."""
        if self._address is None or self._started_at is None:
            return None
        return self._started_at + len(self._tried) / GUESSES_PER_SECOND

    def due(self, now: float) -> list[Endpoint]:
        """Return the addresses to ping now, never more than the rate allows since the start."""
        if self._address is None or self._started_at is None:
            return []
        # A hair of tolerance: at the very moment that `deadline` named, a guess must be due.
        allowed = int((now - self._started_at) * GUESSES_PER_SECOND + 1e-6) + 1
        count = min(allowed, self._max_guesses) - len(self._tried)
        guesses = [Endpoint(self._address, self._next_port()) for _ in range(count)]
        if len(self._tried) >= self._max_guesses:
            self.stop()
        return guesses

    def _next_port(self) -> int:
        while True:
            # 64512 divides 2**32 but for a rest too small to matter here.
            port = FIRST_PORT + int.from_bytes(self._entropy(4), "big") % PORTS
            if port not in self._tried:
                self._tried.add(port)
                return port
