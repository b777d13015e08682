"""What follows from handshake messages, without a device around them."""

from __future__ import annotations

from collections import Counter, deque
from typing import TYPE_CHECKING

import pytest

from node.transport.endpoint import Endpoint
from node.wireguard.constants import REKEY_JITTER_S, REKEY_TIMEOUT_S
from node.wireguard.events import Datagram, Drop, Event, HandshakeCompleted, PeerRoamed
from node.wireguard.keys import SecretKey
from node.wireguard.messages import CookieReply, message_type
from node.wireguard.negotiator import Negotiator
from node.wireguard.peer import Peer
from node.wireguard.wakes import Wakes
from tests.support.wireguard_pair import SeededEntropy

if TYPE_CHECKING:
    from node.wireguard.session import Session

HERE = Endpoint.parse("192.0.2.1:1")
THERE = Endpoint.parse("192.0.2.2:2")


class Side:
    """A negotiator with tables of its own."""

    def __init__(self, seed: bytes) -> None:
        entropy = SeededEntropy(seed)
        private = SecretKey.generate(entropy)
        self.public_key = private.public()
        self.peers: dict[bytes, Peer] = {}
        self.sessions: dict[int, Session] = {}
        self.drops: Counter[Drop] = Counter()
        self.outbox: list[Datagram] = []
        self.events: deque[Event] = deque()
        self.wakes = Wakes()
        self.negotiator = Negotiator(
            private,
            self.public_key,
            peers=self.peers,
            sessions=self.sessions,
            drops=self.drops,
            outbox=self.outbox,
            events=self.events,
            wakes=self.wakes,
            entropy=entropy,
            unix_ns=lambda: 1_700_000_000_000_000_000,
            roams=True,
        )

    def knows(self, other: Side) -> Peer:
        return self.peers.setdefault(other.public_key, Peer(other.public_key))

    def takes(self, message: bytes, path: Endpoint) -> Peer | None:
        kind = message_type(message)
        assert kind is not None
        self.negotiator.admission.enqueue(kind, message, path, 1.0)
        return self.negotiator.work_off_one(1.0)


def test_handshake_gives_both_sides_a_session_and_the_first_word_to_who_began() -> None:
    a, b = Side(b"a"), Side(b"b")
    peer, back = a.knows(b), b.knows(a)
    peer.path = THERE
    a.negotiator.initiate(peer, 1.0)
    assert b.takes(a.outbox[0].data, HERE) is None
    assert list(b.events) == [PeerRoamed(a.public_key, HERE)]
    assert a.takes(b.outbox[0].data, THERE) is peer
    assert list(a.events) == [HandshakeCompleted(b.public_key, is_initiator=True)]
    assert (peer.current, back.next) == (
        next(iter(a.sessions.values())),
        next(iter(b.sessions.values())),
    )
    a.negotiator.forget(peer.drop_sessions())
    assert not a.sessions


def test_handshake_is_begun_once_in_its_timeout() -> None:
    a, b = Side(b"a"), Side(b"b")
    peer = a.knows(b)
    a.negotiator.initiate(peer, 1.0)
    assert a.drops[Drop.NO_ENDPOINT] == 1
    peer.path = THERE
    a.negotiator.initiate(peer, 1.0)
    a.negotiator.initiate(peer, 1.0 + REKEY_TIMEOUT_S / 2)
    assert len(a.outbox) == 1
    assert a.wakes.first() is not None
    a.negotiator.initiate(peer, 1.0 + REKEY_TIMEOUT_S / 2, is_retry=True)
    assert len(a.outbox) == 2


def test_answer_to_an_abandoned_handshake_is_counted() -> None:
    a, b = Side(b"a"), Side(b"b")
    peer = a.knows(b)
    b.knows(a)
    peer.path = THERE
    a.negotiator.initiate(peer, 1.0)
    a.negotiator.abandon(peer)
    b.takes(a.outbox[0].data, HERE)
    assert a.takes(b.outbox[0].data, THERE) is None
    assert a.drops[Drop.UNKNOWN_INDEX] == 1
    assert not a.sessions


def test_cookie_that_nobody_asked_for_is_counted() -> None:
    side = Side(b"a")
    side.negotiator.receive_cookie(CookieReply(7, bytes(24), bytes(32)), 1.0)
    assert side.drops[Drop.COOKIE_INVALID] == 1


def test_nothing_to_work_off_is_an_error() -> None:
    with pytest.raises(IndexError):
        Side(b"a").negotiator.work_off_one(1.0)


def test_jitter_is_bounded_and_differs() -> None:
    negotiator = Side(b"a").negotiator
    drawn = [negotiator.jitter_s() for _ in range(600)]
    assert all(0 <= seconds < REKEY_JITTER_S for seconds in drawn)
    assert len(set(drawn)) > 500
