"""Rounds of port guessing: who begins, what it costs, and that everything ends."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.disco.messages import Birthday, BirthdayStep, Ping
from node.paths.birthday import BURST, LONGEST_S, MAX_GUESSES, PACKETS_PER_SECOND, SOCKETS
from node.paths.birthday_rounds import (
    INTERVAL_S,
    MOST_KEPT,
    PATIENCE_S,
    PROVE_S,
    BirthdayRounds,
    OwnNat,
)
from node.paths.news import Outgoing, PathChanged, PathKind
from node.transport.endpoint import Endpoint
from tests.support.relay_pair import SeededEntropy

EASY_KEY, HARD_KEY, OTHER_KEY = b"e" * 32, b"h" * 32, b"o" * 32
EASY_AT = Endpoint.parse("203.0.113.60:4000")
HARD_AT = Endpoint.parse("203.0.113.50:5000")
INVITATION = Birthday(BirthdayStep.INVITE, b"12345678", EASY_AT)


@dataclass
class Side:
    """One node's rounds and what they made it do."""

    key: bytes
    rounds: BirthdayRounds
    open: set[int] = field(default_factory=set)
    bound: dict[Endpoint, int] = field(default_factory=dict)
    most_open: int = 0
    said: list[tuple[bytes, Birthday]] = field(default_factory=list)
    pinged: list[tuple[float, Outgoing]] = field(default_factory=list)

    def collect(self, now: float) -> None:
        """Do what a driver does."""
        wanted = self.rounds.spares_wanted()
        if wanted is not None:
            self.bound = dict(wanted.bound)
            self.open = {n for n in self.open if n in wanted.opening or n in self.bound.values()}
        for key, outgoing in self.rounds.transmit():
            if isinstance(outgoing.message, Birthday):
                assert outgoing.endpoint is None
                self.said.append((key, outgoing.message))
                continue
            assert isinstance(outgoing.message, Ping)
            self.pinged.append((now, outgoing))
            if outgoing.spare:
                self.open.add(outgoing.spare)
        self.most_open = max(self.most_open, len(self.open))

    def run(self, now: float, until: float) -> float:
        """Serve deadlines up to a time; returns that time."""
        while (due := self.rounds.deadline()) is not None and due <= until:
            now = max(now, due)
            self.rounds.on_deadline(now)
            self.collect(now)
        return until

    def receive(self, key: bytes, message: Birthday, now: float) -> None:
        self.rounds.receive(key, message, is_relayed=True, now=now)
        self.collect(now)


def side(key: bytes, nat: OwnNat | None, seed: int = 1) -> Side:
    rounds = BirthdayRounds(key, SeededEntropy(seed), lambda _endpoint: True)
    rounds.set_own_nat(nat)
    return Side(key, rounds)


def easy() -> Side:
    return side(EASY_KEY, OwnNat(EASY_AT, is_hard=False))


def hard() -> Side:
    return side(HARD_KEY, OwnNat(HARD_AT, is_hard=True), 2)


def relayed(node: Side, key: bytes, start: float, seconds: float) -> float:
    """Send to a peer by relay for a while, a packet each half second; returns the time after."""
    for half in range(round(seconds * 2) + 1):
        node.rounds.note_relayed(key, start + half / 2)
        node.collect(start + half / 2)
    return start + seconds


def guessing(node: Side, start: float = 100.0) -> float:
    """Bring an easy side to where it guesses; returns the time."""
    now = relayed(node, HARD_KEY, start, PATIENCE_S)
    [(key, invitation)] = node.said
    assert key == HARD_KEY
    assert invitation.endpoint == EASY_AT
    node.receive(HARD_KEY, Birthday(BirthdayStep.OPEN, invitation.round, HARD_AT), now)
    assert node.pinged
    return now


def test_round_meets_where_the_nat_opened_a_port() -> None:
    a, b = easy(), hard()
    now = relayed(a, HARD_KEY, 100.0, PATIENCE_S)
    [(_, invitation)] = a.said
    b.receive(EASY_KEY, invitation, now)
    now = b.run(now, now + 5)
    assert len(b.open) == SOCKETS
    assert all(outgoing.endpoint == EASY_AT for _, outgoing in b.pinged)
    [(key, answer)] = b.said
    assert (key, answer.round, answer.endpoint.ip) == (EASY_KEY, invitation.round, HARD_AT.ip)
    # The hard NAT gives each socket a random port.
    ports = dict(zip(Random(7).sample(range(1024, 65536), SOCKETS), b.open, strict=True))  # noqa: S311
    a.receive(HARD_KEY, answer, now)
    a.run(now, now + 20)
    hits = [o for _, o in a.pinged if o.endpoint is not None and o.endpoint.port in ports]
    assert hits
    assert hits[0].endpoint is not None
    assert isinstance(hits[0].message, Ping)
    spare = ports[hits[0].endpoint.port]
    assert b.rounds.take_ping(EASY_KEY, spare, EASY_AT, now)
    b.collect(now)
    assert (b.open, b.bound) == ({spare}, {EASY_AT: spare})


def test_answered_guess_ends_the_round() -> None:
    a = easy()
    now = guessing(a)
    [(_, outgoing)] = a.pinged
    assert isinstance(outgoing.message, Ping)
    assert a.rounds.answered(OTHER_KEY, outgoing.message.transaction) is None
    guess = a.rounds.answered(HARD_KEY, outgoing.message.transaction)
    assert guess is not None
    assert guess.endpoint == outgoing.endpoint
    a.run(now, now + 60)
    assert len(a.pinged) == 1
    assert a.rounds.deadline() is None


def test_nobody_is_invited_before_ordinary_discovery_had_its_time() -> None:
    a = easy()
    relayed(a, HARD_KEY, 100.0, PATIENCE_S - 0.5)
    assert a.said == []
    # A pause makes the peer as good as new.
    relayed(a, HARD_KEY, 200.0, PATIENCE_S - 0.5)
    assert a.said == []


@pytest.mark.parametrize("nat", [None, OwnNat(HARD_AT, is_hard=True)])
def test_only_the_easy_side_invites(nat: OwnNat | None) -> None:
    node = side(HARD_KEY, nat)
    relayed(node, EASY_KEY, 100.0, 60)
    assert node.said == []


@pytest.mark.parametrize("nat", [None, OwnNat(EASY_AT, is_hard=False)])
def test_only_the_hard_side_opens_sockets(nat: OwnNat | None) -> None:
    node = side(HARD_KEY, nat)
    node.receive(EASY_KEY, INVITATION, 100.0)
    assert (node.pinged, node.said, node.rounds.deadline()) == ([], [], None)


def test_peer_that_does_not_understand_costs_a_few_messages_an_hour() -> None:
    a = easy()
    relayed(a, OTHER_KEY, 100.0, 3600)
    assert a.pinged == []
    assert 5 <= len(a.said) <= 12


def test_uninvited_answer_starts_nothing() -> None:
    a = easy()
    a.receive(HARD_KEY, Birthday(BirthdayStep.OPEN, b"", HARD_AT), 100.0)
    now = relayed(a, HARD_KEY, 100.0, PATIENCE_S)
    a.receive(HARD_KEY, Birthday(BirthdayStep.OPEN, b"12345678", HARD_AT), now)
    [(_, invitation)] = a.said
    answer = Birthday(BirthdayStep.OPEN, invitation.round, HARD_AT)
    a.receive(OTHER_KEY, answer, now)
    a.rounds.receive(HARD_KEY, answer, is_relayed=False, now=now)
    a.receive(HARD_KEY, answer, now + 60)
    assert a.pinged == []


@pytest.mark.parametrize(
    "target",
    ["192.168.1.1:80", "10.1.2.3:80", "127.0.0.1:80", "169.254.1.1:80", "224.0.0.1:80",
     "255.255.255.255:80", "[2001:db8::1]:80"],
)  # fmt: skip
def test_hundreds_of_packets_go_to_public_addresses_only(target: str) -> None:
    to = Endpoint.parse(target)
    b = hard()
    b.receive(EASY_KEY, Birthday(BirthdayStep.INVITE, b"12345678", to), 100.0)
    assert b.pinged == []
    a = easy()
    now = relayed(a, HARD_KEY, 100.0, PATIENCE_S)
    a.receive(HARD_KEY, Birthday(BirthdayStep.OPEN, a.said[0][1].round, to), now)
    assert a.pinged == []


def test_direct_path_ends_the_round_on_both_sides() -> None:
    direct = PathChanged(PathKind.DIRECT, EASY_AT, 1)
    a, b = easy(), hard()
    now = guessing(a)
    a.rounds.note_path(HARD_KEY, direct)
    b.receive(EASY_KEY, INVITATION, now)
    assert b.open
    b.rounds.note_path(EASY_KEY, direct)
    b.collect(now)
    assert (b.open, a.rounds.deadline(), b.rounds.deadline()) == (set(), None, None)


def test_round_without_a_hit_closes_every_socket() -> None:
    b = hard()
    b.receive(EASY_KEY, INVITATION, 100.0)
    b.run(100.0, 200.0)
    assert b.most_open == SOCKETS
    assert b.open == set()
    assert b.rounds.deadline() is None


def test_one_peer_gets_one_round_in_an_interval() -> None:
    b = hard()
    for late in range(0, round(INTERVAL_S), 30):
        b.receive(EASY_KEY, INVITATION, 100.0 + late)
        b.run(100.0 + late, 100.0 + late + 30)
    assert len(b.pinged) == SOCKETS
    b.receive(EASY_KEY, INVITATION, 100.0 + INTERVAL_S)
    assert len(b.pinged) > SOCKETS


def test_two_peers_do_not_get_sockets_at_once() -> None:
    b = hard()
    b.receive(EASY_KEY, INVITATION, 100.0)
    b.receive(OTHER_KEY, INVITATION, 101.0)
    b.run(101.0, 106.0)
    assert b.most_open == SOCKETS


def keep(node: Side, key: bytes, target: Endpoint, now: float) -> int:
    """Bring a hard side to where a socket met a guess; returns its number."""
    node.receive(key, Birthday(BirthdayStep.INVITE, b"12345678", target), now)
    node.run(now, now + 5)
    spare = max(node.open)
    assert node.rounds.take_ping(key, spare, target, now + 5)
    node.collect(now + 5)
    return spare


def test_another_peers_ping_at_a_socket_is_not_a_hit() -> None:
    b = hard()
    b.receive(EASY_KEY, INVITATION, 100.0)
    assert not b.rounds.take_ping(OTHER_KEY, max(b.open), EASY_AT, 100.0)
    assert not b.rounds.take_ping(EASY_KEY, max(b.open) + SOCKETS, EASY_AT, 100.0)
    spare = keep(hard(), EASY_KEY, EASY_AT, 100.0)
    assert not b.rounds.take_ping(OTHER_KEY, spare, EASY_AT, 110.0)


def test_socket_that_met_a_guess_lives_as_long_as_its_path() -> None:
    b = hard()
    spare = keep(b, EASY_KEY, EASY_AT, 100.0)
    b.rounds.note_path(EASY_KEY, PathChanged(PathKind.DIRECT, EASY_AT, 1))
    b.run(105.0, 105.0 + 10 * PROVE_S)
    b.rounds.note_path(EASY_KEY, PathChanged(PathKind.DOUBTED, EASY_AT, 1))
    b.collect(300.0)
    assert b.open == {spare}
    b.rounds.note_path(EASY_KEY, PathChanged(PathKind.RELAYED, None, 0))
    b.collect(300.0)
    assert (b.open, b.bound) == (set(), {})


def test_socket_whose_path_is_not_proven_is_closed() -> None:
    b = hard()
    keep(b, EASY_KEY, EASY_AT, 100.0)
    b.run(105.0, 105.0 + PROVE_S)
    assert b.open == set()


def test_kept_sockets_are_bounded() -> None:
    b = hard()
    for number in range(MOST_KEPT + 3):
        key, at = bytes([number]) * 32, Endpoint.parse(f"203.0.113.{number + 100}:4000")
        now = 100.0 + 20 * number
        b.receive(key, Birthday(BirthdayStep.INVITE, b"12345678", at), now)
        b.run(now, now + 5)
        new = b.open - set(b.bound.values())
        if new:
            b.rounds.take_ping(key, max(new), at, now + 5)
            b.rounds.note_path(key, PathChanged(PathKind.DIRECT, at, 1))
            b.collect(now + 5)
    assert len(b.open) == MOST_KEPT


@pytest.mark.parametrize("is_gone", [True, False])
def test_peer_that_is_gone_and_a_new_network_end_everything(is_gone: bool) -> None:
    b = hard()
    keep(b, EASY_KEY, EASY_AT, 100.0)
    if is_gone:
        b.rounds.forget(EASY_KEY)
    else:
        b.rounds.reset()
    b.collect(106.0)
    assert (b.open, b.rounds.deadline()) == (set(), None)


events = st.lists(
    st.tuples(
        st.sampled_from(["relayed", "invite", "open", "ping", "direct", "lost", "late", "reset"]),
        st.sampled_from([EASY_KEY, OTHER_KEY]),
        st.floats(0.0, 4.0),
        st.integers(0, SOCKETS * 3),
    ),
    max_size=80,
)


@given(events, st.booleans())
def test_whatever_happens_packets_and_sockets_stay_within_budget(
    events: list[tuple[str, bytes, float, int]], is_hard: bool
) -> None:
    nat = OwnNat(HARD_AT, is_hard=is_hard)
    node = side(HARD_KEY, nat)
    now = 100.0
    for what, key, wait, number in events:
        now = now + wait if what == "late" else node.run(now, now + wait)
        match what:
            case "relayed":
                node.rounds.note_relayed(key, now)
            case "invite":
                node.receive(key, INVITATION, now)
            case "open":
                rounds = [m.round for k, m in node.said if k == key]
                round_ = rounds[-1] if rounds else b"12345678"
                node.receive(key, Birthday(BirthdayStep.OPEN, round_, EASY_AT), now)
            case "ping":
                node.rounds.take_ping(key, number, EASY_AT, now)
            case "direct":
                node.rounds.note_path(key, PathChanged(PathKind.DIRECT, EASY_AT, 1))
            case "lost":
                node.rounds.note_path(key, PathChanged(PathKind.RELAYED, None, 0))
            case "reset":
                node.rounds.reset()
                node.rounds.set_own_nat(nat)
        node.collect(now)
    node.run(now, now + INTERVAL_S)
    now += INTERVAL_S
    for node_key in (EASY_KEY, OTHER_KEY):
        node.rounds.note_path(node_key, PathChanged(PathKind.RELAYED, None, 0))
    node.collect(now)
    assert node.open == set()
    assert node.most_open <= SOCKETS + 2
    # No peer can have had more than one round: this all takes less than an interval.
    assert len(node.pinged) <= 2 * (SOCKETS if is_hard else MAX_GUESSES)
    moments = [at for at, _ in node.pinged]
    for first in range(0, len(moments), 50):
        within = [at for at in moments[first:] if at <= moments[first] + LONGEST_S]
        assert len(within) <= LONGEST_S * PACKETS_PER_SECOND + 3 * BURST
