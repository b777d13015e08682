"""Guessing a port of a hard NAT: many sockets on one side, many guesses on the other.

A NAT that maps each destination to another port gives every new socket one more open port. If
its owner (the hard side) sends from 256 sockets to our one known address, and we (the easy side)
send to random ports of its public address, some guess soon meets an open port: with 256 of 64512
ports open, 174 guesses succeed half of the time and 1000 in 98 of 100 (relay reference 5.3).

That looks like a port scan and fills tables in home routers, so both sides are paced and bounded
here, and `node.paths.birthday_rounds` says how seldom it happens. Two hard sides never try: they
would have to meet on both ports at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from node.disco.messages import TRANSACTION_BYTES
from node.transport.endpoint import Endpoint

if TYPE_CHECKING:
    from ipaddress import IPv4Address, IPv6Address

    from control.keys import Entropy

__all__ = ["Guess", "PortGuesser", "SocketSpread", "hit_probability"]

SOCKETS: Final = 256
MAX_GUESSES: Final = 1000
PACKETS_PER_SECOND: Final = 100
BURST: Final = 5
"""Packets that may go at once after a timer that was late."""
LONGEST_S: Final = 10.0
ANSWER_S: Final = 2.0
"""The last guess may be answered for so long."""
OPEN_S: Final = LONGEST_S + ANSWER_S
"""So long the hard side keeps its sockets open for guesses."""
FIRST_PORT: Final = 1024
PORTS: Final = 65_536 - FIRST_PORT
_HAIR: Final = 1e-6
"""At the very moment that a deadline named, a packet must be due, rounding or not."""


@dataclass(frozen=True, slots=True)
class Guess:
    """One ping to a port that may be open."""

    transaction: bytes
    endpoint: Endpoint
    sent_at: float


def hit_probability(guesses: int, sockets: int = SOCKETS) -> float:
    """Return how likely so many distinct guesses meet one of so many open ports."""
    miss = 1.0
    for made in range(guesses):
        miss *= 1 - sockets / (PORTS - made)
    return 1 - miss


class _Pace:
    """So many packets in all, a hundred a second, none ten seconds after the first."""

    def __init__(self, packets: int, now: float) -> None:
        self._left = packets
        self._ends_at = now + LONGEST_S
        self._allowance = 1.0
        self._counted_at = now

    @property
    def is_spent(self) -> bool:
        """Whether nothing more may be sent."""
        return self._left <= 0

    def deadline(self) -> float:
        """Return when the next packet is due, or the end if that is sooner."""
        wait = max(0.0, 1 - self._allowance) / PACKETS_PER_SECOND
        return min(self._counted_at + wait, self._ends_at)

    def take(self, now: float) -> int:
        """Return how many packets to send now."""
        if now >= self._ends_at:
            self._left = 0
        if self.is_spent:
            return 0
        earned = max(0.0, now - self._counted_at) * PACKETS_PER_SECOND
        self._allowance = min(float(BURST), self._allowance + earned)
        self._counted_at = max(now, self._counted_at)
        count = min(int(self._allowance + _HAIR), self._left)
        self._allowance -= count
        self._left -= count
        return count


class PortGuesser:
    """The easy side of one round: pings to distinct random ports of one address."""

    def __init__(self, entropy: Entropy, address: IPv4Address | IPv6Address, now: float) -> None:
        self._entropy = entropy
        self._address = address
        self._pace = _Pace(MAX_GUESSES, now)
        self._tried: set[int] = set()
        self._open: dict[bytes, Guess] = {}
        self._last_at = now

    def is_over(self, now: float) -> bool:
        """Whether all is sent and the last guess had its time to be answered."""
        return self._pace.is_spent and now >= self._last_at + ANSWER_S

    def deadline(self) -> float:
        """Return when to call `due` again, or when it is over."""
        return self._last_at + ANSWER_S if self._pace.is_spent else self._pace.deadline()

    def due(self, now: float) -> list[Guess]:
        """Return the pings to send now."""
        guesses = [self._guess(now) for _ in range(self._pace.take(now))]
        self._open |= {guess.transaction: guess for guess in guesses}
        self._last_at = now if guesses else self._last_at
        return guesses

    def answered(self, transaction: bytes) -> Guess | None:
        """Return the guess that a pong answers."""
        return self._open.get(transaction)

    def _guess(self, now: float) -> Guess:
        endpoint = Endpoint(self._address, self._next_port())
        return Guess(self._entropy(TRANSACTION_BYTES), endpoint, now)

    def _next_port(self) -> int:
        while True:
            # 64512 divides 2**32 but for a rest too small to matter here.
            port = FIRST_PORT + int.from_bytes(self._entropy(4), "big") % PORTS
            if port not in self._tried:
                self._tried.add(port)
                return port


class SocketSpread:
    """The hard side of one round: a ping from each of many sockets to one address."""

    def __init__(self, target: Endpoint, spares: range, now: float) -> None:
        """`spares` are the numbers of the sockets, which the driver opens when they send."""
        self.target = target
        self.spares = spares
        self._pace = _Pace(len(spares), now)
        self._next = spares.start
        self._closes_at: float | None = None

    @property
    def is_open(self) -> bool:
        """Whether every socket has sent: time for the peer to guess."""
        return self._closes_at is not None

    def is_over(self, now: float) -> bool:
        """Whether nobody can be guessing any more."""
        return self._closes_at is not None and now >= self._closes_at

    def deadline(self) -> float:
        """Return when to call `due` again, or when it is over."""
        return self._pace.deadline() if self._closes_at is None else self._closes_at

    def due(self, now: float) -> range:
        """Return the sockets to send from now."""
        first = self._next
        self._next += self._pace.take(now)
        if self._closes_at is None and self._pace.is_spent:
            self._closes_at = now + OPEN_S
        return range(first, self._next)
