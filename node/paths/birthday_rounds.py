"""Rounds of port guessing with peers that ordinary discovery did not reach (`paths.birthday`).

    easy side                                  hard side
    relayed for a while ──── invitation ─────► 256 sockets ping the easy side's address, paced
    pings random ports  ◄──── all open ─────── waits
          pong from one ◄────────────────────► that socket stays, the others are closed at once

Both messages travel by relay and are of a type that other clients ignore: whoever answers an
invitation is one of us and behind a hard NAT. Nothing is sent before the answer.

INVARIANT: one round at a time on either side, seldom with the same peer, never on a direct path;
sockets that the hard side opened end with the round, but for the one that met a guess, which ends
with the path it carries.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from ipaddress import IPv4Network
from typing import TYPE_CHECKING, Final

from node.disco.messages import ROUND_BYTES, TRANSACTION_BYTES, Birthday, BirthdayStep, Ping
from node.paths.birthday import SOCKETS, Guess, PortGuesser, SocketSpread
from node.paths.candidates import is_plausible
from node.paths.news import Outgoing, PathKind, SparesWanted

if TYPE_CHECKING:
    from collections.abc import Callable

    from control.keys import Entropy
    from node.paths.news import PathChanged
    from node.transport.endpoint import Endpoint

__all__ = ["BirthdayRounds", "OwnNat"]

PATIENCE_S: Final = 6.0
"""Relayed for so long, ordinary discovery had two rounds and found nothing."""
IDLE_S: Final = 15.0
"""After so long without packets by relay, the peer is as good as new."""
REPLY_S: Final = 15.0
"""An invitation may be answered for so long: the peer first opens its sockets."""
RETRY_S: Final = 30.0
"""An unanswered invitation is repeated after this, twice this, and so on up to the interval."""
INTERVAL_S: Final = 3600.0
"""Least time between two rounds with one peer."""
PROVE_S: Final = 15.0
"""A socket that met a guess must be a direct path within this."""
MOST_KEPT: Final = 32
"""Sockets that carry paths; with so many no more rounds begin."""
_PRIVATE: Final = tuple(
    map(IPv4Network, ("10.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
                      "192.168.0.0/16"))
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class OwnNat:
    """What STUN says of our own NAT."""

    address: Endpoint
    """Where we appear; for a hard NAT only the IP address means anything."""
    is_hard: bool
    """Whether different servers see different ports."""


@dataclass(slots=True)
class _Standing:
    """One peer as the easy side sees it."""

    since: float | None = None
    relayed_at: float = 0.0
    not_before: float = 0.0
    invitation: bytes = b""
    invited_at: float = 0.0
    unanswered: int = 0


@dataclass(slots=True)
class _Kept:
    """A socket that met a guess."""

    spare: int
    endpoint: Endpoint
    proves_until: float | None


class BirthdayRounds:
    """All rounds of one node. Peers go by node key; `transmit` names whom each message is for."""

    def __init__(
        self, own_node_key: bytes, entropy: Entropy, is_allowed: Callable[[Endpoint], bool]
    ) -> None:
        self._own_node_key = own_node_key
        self._entropy = entropy
        self._is_allowed = is_allowed
        self._nat: OwnNat | None = None
        self._standings: defaultdict[bytes, _Standing] = defaultdict(_Standing)
        self._guessing: tuple[bytes, PortGuesser] | None = None
        self._spreading: tuple[bytes, bytes, SocketSpread] | None = None
        self._spread_at: dict[bytes, float] = {}
        self._kept: dict[bytes, _Kept] = {}
        self._next_spare = 1
        self._out: list[tuple[bytes, Outgoing]] = []
        self._spares_changed = False

    # What is known.

    def set_own_nat(self, nat: OwnNat | None) -> None:
        """Take what STUN says now; None when it does not say."""
        self._nat = nat if nat is not None and nat.address.ip.version == 4 else None

    def note_relayed(self, key: bytes, now: float) -> None:
        """Note that packets for a peer go by relay alone; invite it when that lasts."""
        nat = self._nat
        if nat is None or nat.is_hard:
            return
        standing = self._standings[key]
        if standing.since is None or now - standing.relayed_at > IDLE_S:
            standing.since = now
        standing.relayed_at = now
        is_early = now - standing.since < PATIENCE_S or now < standing.not_before
        if is_early or self._guessing is not None:
            return
        standing.invitation = self._entropy(ROUND_BYTES)
        standing.invited_at = now
        standing.not_before = now + min(INTERVAL_S, RETRY_S * 2**standing.unanswered)
        standing.unanswered = min(standing.unanswered + 1, 10)
        self._say(key, Birthday(BirthdayStep.INVITE, standing.invitation, nat.address))

    def note_path(self, key: bytes, changed: PathChanged) -> None:
        """Note that a peer's path changed: no round goes on beside a direct path."""
        if changed.kind is PathKind.DIRECT:
            if key in self._standings:
                self._standings[key].since = None
            self._end_rounds(key)
        kept = self._kept.get(key)
        if kept is None:
            return
        if changed.endpoint != kept.endpoint:
            self._let_go(key)
        elif changed.kind is PathKind.DIRECT:
            kept.proves_until = None

    def forget(self, key: bytes) -> None:
        """End what goes on with a peer that is gone or started anew."""
        self._end_rounds(key)
        self._let_go(key)
        self._standings.pop(key, None)

    def reset(self) -> None:
        """End everything: our own network changed, and with it our NAT."""
        self._nat = None
        self._guessing = None
        for standing in self._standings.values():
            standing.since, standing.invitation = None, b""
        if self._spreading is not None or self._kept:
            self._spreading = None
            self._kept.clear()
            self._spares_changed = True

    # What is heard.

    def receive(self, key: bytes, message: Birthday, *, is_relayed: bool, now: float) -> None:
        """Take a peer's message, which came by relay; `is_relayed` is its path, too."""
        target = message.endpoint
        if not is_relayed or not self._may_be_sent_to(target):
            return
        match message.step:
            case BirthdayStep.INVITE:
                self._spread(key, message, now)
            case BirthdayStep.OPEN:
                self._guess(key, message, now)

    def answered(self, key: bytes, transaction: bytes) -> Guess | None:
        """Return our guess that a peer's pong answers; the round is over with it."""
        if self._guessing is None or self._guessing[0] != key:
            return None
        guess = self._guessing[1].answered(transaction)
        if guess is not None:
            self._guessing = None
        return guess

    def take_ping(self, key: bytes, spare: int, source: Endpoint, now: float) -> bool:
        """Note a peer's ping at one of our many sockets; False when that socket is not its."""
        kept = self._kept.get(key)
        if kept is not None and kept.spare == spare:
            return True
        if self._spreading is None:
            return False
        holder, _, spread = self._spreading
        if holder != key or spare not in spread.spares:
            return False
        self._spreading = None
        self._kept[key] = _Kept(spare, source, now + PROVE_S)
        self._spares_changed = True
        return True

    # Time, and what leaves.

    def deadline(self) -> float | None:
        """Return when `on_deadline` has something to do."""
        due = [kept.proves_until for kept in self._kept.values() if kept.proves_until is not None]
        if self._guessing is not None:
            due.append(self._guessing[1].deadline())
        if self._spreading is not None:
            due.append(self._spreading[2].deadline())
        return min(due, default=None)

    def on_deadline(self, now: float) -> None:
        """Send what the pace allows; end what is over."""
        if self._guessing is not None:
            self._go_on_guessing(*self._guessing, now)
        if self._spreading is not None:
            self._go_on_spreading(*self._spreading, now)
        for key, kept in list(self._kept.items()):
            if kept.proves_until is not None and now >= kept.proves_until:
                self._let_go(key)

    def transmit(self) -> list[tuple[bytes, Outgoing]]:
        """Return the messages to send now and the peer that each is for."""
        out, self._out = self._out, []
        return out

    def spares_wanted(self) -> SparesWanted | None:
        """Return which sockets may be open, if that changed; to be carried out before sending."""
        if not self._spares_changed:
            return None
        self._spares_changed = False
        spread = self._spreading[2].spares if self._spreading is not None else range(0)
        return SparesWanted(spread, {k.endpoint: k.spare for k in self._kept.values()})

    # How it goes on.

    def _spread(self, key: bytes, message: Birthday, now: float) -> None:
        is_able = self._nat is not None and self._nat.is_hard and len(self._kept) < MOST_KEPT
        last = self._spread_at.get(key)
        is_early = last is not None and now - last < INTERVAL_S
        if not is_able or is_early or self._spreading is not None or key in self._kept:
            return
        # Peers come and go; of those that are long gone nothing is kept.
        self._spread_at = {k: at for k, at in self._spread_at.items() if now - at < INTERVAL_S}
        self._spread_at[key] = now
        spares = range(self._next_spare, self._next_spare + SOCKETS)
        self._next_spare = spares.stop
        self._spreading = (key, message.round, SocketSpread(message.endpoint, spares, now))
        self._spares_changed = True
        self._go_on_spreading(*self._spreading, now)

    def _go_on_spreading(self, key: bytes, round_: bytes, spread: SocketSpread, now: float) -> None:
        was_open = spread.is_open
        for spare in spread.due(now):
            ping = Ping(self._entropy(TRANSACTION_BYTES), self._own_node_key)
            self._out.append((key, Outgoing(ping, spread.target, spare=spare)))
        if spread.is_open and not was_open and self._nat is not None:
            self._say(key, Birthday(BirthdayStep.OPEN, round_, self._nat.address))
        if spread.is_over(now):
            self._spreading = None
            self._spares_changed = True

    def _guess(self, key: bytes, message: Birthday, now: float) -> None:
        standing = self._standings.get(key)
        if standing is None or self._guessing is not None:
            return
        if standing.invitation != message.round or now - standing.invited_at > REPLY_S:
            return
        standing.invitation, standing.unanswered = b"", 0
        standing.not_before = now + INTERVAL_S
        guesser = PortGuesser(self._entropy, message.endpoint.ip, now)
        self._guessing = (key, guesser)
        self._go_on_guessing(key, guesser, now)

    def _go_on_guessing(self, key: bytes, guesser: PortGuesser, now: float) -> None:
        for guess in guesser.due(now):
            ping = Ping(guess.transaction, self._own_node_key)
            self._out.append((key, Outgoing(ping, guess.endpoint)))
        if guesser.is_over(now):
            self._guessing = None

    def _end_rounds(self, key: bytes) -> None:
        if self._guessing is not None and self._guessing[0] == key:
            self._guessing = None
        if self._spreading is not None and self._spreading[0] == key:
            self._spreading = None
            self._spares_changed = True

    def _let_go(self, key: bytes) -> None:
        if self._kept.pop(key, None) is not None:
            self._spares_changed = True

    def _say(self, key: bytes, message: Birthday) -> None:
        self._out.append((key, Outgoing(message, None)))

    def _may_be_sent_to(self, target: Endpoint) -> bool:
        """Whether hundreds of packets may go there: a public address, as far as one can tell."""
        is_public = target.ip.version == 4 and not any(target.ip in net for net in _PRIVATE)
        return is_public and is_plausible(target) and self._is_allowed(target)
