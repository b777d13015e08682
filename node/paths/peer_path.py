"""How to reach one peer: a machine driven by disco messages, traffic and a timer.

             pong from a candidate             silence, or an unanswered question
    RELAYED ──────────────────────► DIRECT ───────────────────────────────────► DOUBTED
       ▲                              ▲ pong, or WireGuard heard from there        │
       │                              └────────────────────────────────────────────┤
       └────────────────── unanswered for good, or our network changed ────────────┘

RELAYED and DOUBTED packets go by the relay, DOUBTED ones to the best address as well: duplicates
are WireGuard's to drop, so nothing is lost while we find out. Everything is decided when there is
something to send; only heartbeats and expiring questions need the timer. Source: relay reference
3.3 to 3.7; `node.paths.timing` says where the constants differ.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from node.disco.messages import TRANSACTION_BYTES, CallMeMaybe, Ping, Pong
from node.paths.calls import Calls
from node.paths.candidates import Candidate, CandidateSet, Origin
from node.paths.news import (
    CallMeMaybeWanted,
    Outgoing,
    PathChanged,
    PathEvent,
    PathKind,
    PingAnswered,
    Route,
)
from node.paths.proof import Proof, Purpose, Question
from node.paths.score import Quality, is_better
from node.paths.timing import (
    GOOD_ENOUGH_NS,
    HEARTBEAT_S,
    PING_BACK_S,
    PING_INTERVAL_S,
    PING_TIMEOUT_S,
    SESSION_ACTIVE_S,
    SILENCE_S,
    TRUST_S,
    UPGRADE_S,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from control.keys import Entropy
    from node.paths.birthday import Guess
    from node.transport.endpoint import Endpoint

__all__ = ["PeerPath"]


class PeerPath:
    """Chooses how to reach one peer.

    INVARIANT: only an address that answered our own ping carries packets without the relay
    carrying them too.
    """

    def __init__(
        self,
        own_node_key: bytes,
        entropy: Entropy,
        is_allowed: Callable[[Endpoint], bool] = lambda _endpoint: True,
    ) -> None:
        self._own_node_key = own_node_key
        self._entropy = entropy
        self._candidates = CandidateSet(is_allowed)
        self._questions: dict[bytes, Question] = {}
        self._best: Quality | None = None
        self._proof = Proof()
        self._sent_at: float | None = None
        self._full_round_at: float | None = None
        self._calls = Calls()
        self._heartbeat_at: float | None = None
        self._seen_pings: deque[tuple[bytes, Endpoint]] = deque(maxlen=64)
        self._shown: tuple[PathKind, Endpoint | None] = (PathKind.RELAYED, None)
        self._out: list[Outgoing] = []
        self._events: deque[PathEvent] = deque()

    # What is asked from outside.

    @property
    def best(self) -> Quality | None:
        """The best address that answered, trusted or not."""
        return self._best

    def kind(self, now: float) -> PathKind:
        """Return how packets travel now."""
        if self._best is None:
            return PathKind.RELAYED
        return PathKind.DIRECT if self._is_trusted(now) else PathKind.DOUBTED

    def candidates(self) -> list[Endpoint]:
        """Return the addresses under consideration."""
        return [candidate.endpoint for candidate in self._candidates]

    def next_event(self) -> PathEvent | None:
        """Return what happened next, None when nothing did."""
        return self._events.popleft() if self._events else None

    def transmit(self) -> list[Outgoing]:
        """Return the messages to send now, in order."""
        out, self._out = self._out, []
        return out

    def deadline(self) -> float | None:
        """Return when `on_deadline` has something to do."""
        due = [q.sent_at + PING_TIMEOUT_S for q in self._questions.values()]
        sometimes = [self._calls.deadline(), self._heartbeat_at]
        if self._best is not None:
            sometimes.append(self._proof.deadline(self._best, self._questions.values()))
        due += [at for at in sometimes if at is not None]
        return min(due, default=None)

    # What comes in.

    def set_candidates(self, endpoints: Iterable[Endpoint], now: float) -> None:
        """Take the peer's endpoints from the netmap."""
        self._candidates.replace(endpoints, Origin.NETMAP, now, self._best_endpoint)
        self._drop_best_unless_candidate(now)

    def route(self, now: float) -> Route:
        """Say where user packets go now, and start whatever finds or keeps a path."""
        self._sent_at = now
        self._proof.note_sent(now)
        if self._heartbeat_at is None:
            self._heartbeat_at = now + HEARTBEAT_S
        if self._best is not None:
            self._check_liveness(self._best, now)
        trusted = self._is_trusted(now)
        if not trusted:
            self._discover(now)
        self._show(now)
        return Route(self._best_endpoint, by_relay=not trusted)

    def note_heard(self, endpoint: Endpoint | None, now: float) -> None:
        """Note an authenticated WireGuard packet from an address, or by relay (None)."""
        if self._best is None:
            return
        if endpoint == self._best.endpoint:
            self._proof.note_data(now)
            self._show(now)
        elif endpoint is not None:
            self._follow(endpoint, self._best, now)

    def receive_ping(self, ping: Ping, source: Endpoint, now: float) -> None:
        """Answer a ping that came by UDP, and remember where it came from."""
        if (ping.transaction, source) in self._seen_pings:
            return
        self._seen_pings.append((ping.transaction, source))
        self._out.append(Outgoing(Pong(ping.transaction, source), source))
        candidate = self._candidates.add(source, Origin.REFLEXIVE, now, self._best_endpoint)
        if candidate is None:
            return
        # The one way through a NAT that maps by destination: use what the peer made at once.
        if not self._is_trusted(now) and candidate.may_ping_back(now, PING_BACK_S):
            candidate.pinged_back_at = now
            self._ping(candidate, Purpose.DISCOVERY, now)

    def receive_ping_by_relay(self, ping: Ping, region: int, relay: Endpoint) -> None:
        """Answer a ping that came by relay; `relay` is the pseudo address of the region."""
        self._out.append(Outgoing(Pong(ping.transaction, relay), None, region))

    def receive_pong(self, pong: Pong, source: Endpoint | None, now: float) -> None:
        """Take the answer to one of our questions; without `source` it came by relay."""
        question = self._questions.pop(pong.transaction, None)
        if question is None:
            return
        latency_ns = max(0, round((now - question.sent_at) * 1e9))
        if question.purpose is Purpose.USER:
            self._events.append(PingAnswered(source and question.endpoint, latency_ns))
        if source is None or question.endpoint is None:
            return
        # The address we pinged counts, not where the answer came from: a NAT may rewrite it.
        if question.endpoint in self._candidates:
            is_silent = not self._proof.has_data_since(question.sent_at)
            is_followed = question.purpose is Purpose.FOLLOW and is_silent
            self._consider(Quality(question.endpoint, latency_ns), now, is_followed=is_followed)

    def receive_guessed(self, pong: Pong, guess: Guess, source: Endpoint, now: float) -> None:
        """Take the answer to a guessed port: an address like any other that answered."""
        keep = self._best_endpoint
        if self._candidates.add(guess.endpoint, Origin.REFLEXIVE, now, keep) is not None:
            question = Question(guess.endpoint, guess.sent_at, Purpose.DISCOVERY)
            self._questions[guess.transaction] = question
            self.receive_pong(pong, source, now)

    def receive_call_me_maybe(self, message: CallMeMaybe, now: float) -> None:
        """Ping everything the peer asks to be pinged at; answering in kind would never end."""
        if not self._calls.take_theirs(now):
            return
        wanted = [e for e in message.endpoints if not (e.ip.version == 6 and e.ip.is_link_local)]
        self._candidates.replace(wanted, Origin.CALL_ME_MAYBE, now, self._best_endpoint)
        self._drop_best_unless_candidate(now)
        self._ping_called(now)

    def ping_now(self, now: float) -> None:
        """Ping for a user: every candidate, and the relay as well."""
        for candidate in self._candidates:
            self._ping(candidate, Purpose.USER, now)
        self._ask(None, Purpose.USER, now)
        self._want_call(now)

    def note_unreachable(self, endpoint: Endpoint, now: float) -> None:
        """Note that the kernel knows no way to an address."""
        if self._best is not None and self._best.endpoint == endpoint:
            self._best = None
            self._show(now)

    def reset(self, now: float) -> None:
        """Forget what was proven: our own network changed under us."""
        self._best = None
        self._proof.reset()
        self._questions.clear()
        self._calls.reset()
        self._full_round_at = None
        self._candidates.forget_tries()
        self._show(now)

    def on_deadline(self, now: float) -> None:
        """Expire questions and send a heartbeat, as far as due."""
        for transaction, question in list(self._questions.items()):
            if now >= question.sent_at + PING_TIMEOUT_S:
                del self._questions[transaction]
                self._note_unanswered(question, now)
        for _ in range(self._calls.take_repeats(now)):
            if not self._is_trusted(now):
                self._ping_called(now)
        if self._best is not None and not self._proof.is_doubted:
            self._check_liveness(self._best, now)
            if self.kind(now) is PathKind.DOUBTED:
                # Whoever sends next must not be the one to find out.
                self._discover(now)
        if self._heartbeat_at is not None and now >= self._heartbeat_at:
            self._beat(now)
        self._show(now)

    # How it is decided.

    @property
    def _best_endpoint(self) -> Endpoint | None:
        return self._best.endpoint if self._best is not None else None

    def _is_trusted(self, now: float) -> bool:
        return self._best is not None and self._proof.is_trusted(now)

    def _check_liveness(self, best: Quality, now: float) -> None:
        """Ask after a second of sending into silence; doubt a path that does not answer."""
        self._proof.doubt(best, self._questions.values(), now)
        if self._proof.is_silent(now) and not self._asked_within(best, now):
            self._ask(best.endpoint, Purpose.LIVENESS, now)

    def _asked_within(self, best: Quality, now: float) -> bool:
        return any(
            q.endpoint == best.endpoint and now - q.sent_at < SILENCE_S
            for q in self._questions.values()
        )

    def _follow(self, endpoint: Endpoint, best: Quality, now: float) -> None:
        """Ask where the peer's packets come from now, if they came from the best path until now.

        Its NAT got another address, or it moved: waiting until the old path is doubted would cost
        the connections inside a second or more.
        """
        if not self._proof.has_data_since(now - TRUST_S):
            return
        candidate = self._candidates.add(endpoint, Origin.REFLEXIVE, now, best.endpoint)
        if candidate is not None and candidate.may_ping_back(now, PING_BACK_S):
            candidate.pinged_back_at = now
            self._ping(candidate, Purpose.FOLLOW, now)

    def _consider(self, quality: Quality, now: float, *, is_followed: bool) -> None:
        best = self._best
        is_same = best is not None and best.endpoint == quality.endpoint
        is_needed = is_same or is_followed or not self._is_trusted(now)
        if not is_needed and not is_better(quality, best):
            return
        self._best = quality
        self._proof.note_pong(now)
        self._show(now)

    def _discover(self, now: float) -> None:
        sent = False
        for candidate in self._candidates:
            if candidate.is_due(now, PING_INTERVAL_S):
                self._ping(candidate, Purpose.DISCOVERY, now)
                sent = True
        self._full_round_at = now if sent else self._full_round_at
        # With nothing to ping it is all the more the peer that has to find us.
        if sent or not len(self._candidates):
            self._want_call(now)

    def _want_call(self, now: float) -> None:
        if self._calls.take_ours(now):
            self._events.append(CallMeMaybeWanted())

    def _beat(self, now: float) -> None:
        if self._sent_at is None or now - self._sent_at > SESSION_ACTIVE_S:
            self._heartbeat_at = None
            return
        self._heartbeat_at = now + HEARTBEAT_S
        if self._best is not None:
            self._ask(self._best.endpoint, Purpose.HEARTBEAT, now)
        if self._wants_full_round(now):
            self._discover(now)

    def _wants_full_round(self, now: float) -> bool:
        if self._best is None or self._full_round_at is None or not self._is_trusted(now):
            return True
        is_slow = self._best.latency_ns > GOOD_ENOUGH_NS
        return is_slow and now - self._full_round_at >= UPGRADE_S

    def _note_unanswered(self, question: Question, now: float) -> None:
        best = self._best
        if best and question.endpoint == best.endpoint and not self._is_trusted(now):
            self._best = None

    def _drop_best_unless_candidate(self, now: float) -> None:
        if self._best is not None and self._best.endpoint not in self._candidates:
            self._best = None
            self._show(now)

    def _ping_called(self, now: float) -> None:
        for candidate in self._candidates:
            if Origin.CALL_ME_MAYBE in candidate.origins:
                self._ping(candidate, Purpose.DISCOVERY, now)

    def _ping(self, candidate: Candidate, purpose: Purpose, now: float) -> None:
        candidate.pinged_at = now
        self._ask(candidate.endpoint, purpose, now)

    def _ask(self, endpoint: Endpoint | None, purpose: Purpose, now: float) -> None:
        transaction = self._entropy(TRANSACTION_BYTES)
        self._questions[transaction] = Question(endpoint, now, purpose)
        self._out.append(Outgoing(Ping(transaction, self._own_node_key), endpoint))

    def _show(self, now: float) -> None:
        """Report the path if it is not the one last reported."""
        kind = self.kind(now)
        endpoint = self._best_endpoint
        if (kind, endpoint) != self._shown:
            self._shown = (kind, endpoint)
            latency_ns = self._best.latency_ns if self._best else 0
            self._events.append(PathChanged(kind, endpoint, latency_ns))
