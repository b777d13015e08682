"""From handshake messages to sessions, for all peers of one private key.

`admission` says which messages are worth work, `handshakes` does it; here is what follows from
them: sessions in and out of the table, where the peer is, what is sent and when to look again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from node.wireguard.admission import Admission
from node.wireguard.constants import REKEY_JITTER_S, REKEY_TIMEOUT_S
from node.wireguard.events import Datagram, Drop, Event, HandshakeCompleted, PeerRoamed
from node.wireguard.handshakes import Handshakes
from node.wireguard.messages import CookieReply, Initiation, MessageType, Response
from node.wireguard.primitives import CryptographyRefusedError
from node.wireguard.session import Session

if TYPE_CHECKING:
    from collections import Counter, deque
    from collections.abc import Callable, Mapping

    from node.wireguard.handshake import TransportKeys
    from node.wireguard.keys import SecretKey
    from node.wireguard.path import Path
    from node.wireguard.peer import Peer
    from node.wireguard.session import SessionSink
    from node.wireguard.wakes import Wakes

_JITTERS = 256


class Negotiator:
    """Begins, answers and finishes handshakes; fills its device's tables and queues."""

    def __init__(
        self,
        private: SecretKey,
        public_key: bytes,
        *,
        peers: Mapping[bytes, Peer],
        sessions: dict[int, Session],
        drops: Counter[Drop],
        outbox: list[Datagram],
        events: deque[Event],
        wakes: Wakes,
        entropy: Callable[[int], bytes],
        unix_ns: Callable[[], int],
        roams: bool,
    ) -> None:
        self.sink: SessionSink | None = None
        self.admission = Admission(public_key, entropy, drops)
        self._handshakes = Handshakes(
            private, public_key, sessions, drops, entropy=entropy, unix_ns=unix_ns
        )
        self._peers = peers
        self._sessions = sessions
        self._drops = drops
        self._outbox = outbox
        self._events = events
        self._wakes = wakes
        self._entropy = entropy
        self._unix_ns = unix_ns
        self._roams = roams
        self._jitters: list[int] = []

    def work_off_one(self, now: float) -> Peer | None:
        """Work on the message that waits longest; return a peer that has to hear from us now.

        Raises IndexError when nothing waits.
        """
        match self.admission.next(now):
            case None:
                return None
            case Datagram() as reply:
                self._outbox.append(reply)
                return None
            case kind, message, path:
                pass
        try:
            if kind is MessageType.INITIATION:
                self._answer(Initiation.unpack(message), len(message), path, now)
                return None
            return self._finish(Response.unpack(message), len(message), path, now)
        except CryptographyRefusedError:
            self._drops[Drop.HANDSHAKE_INVALID] += 1
            return None

    def initiate(self, peer: Peer, now: float, *, is_retry: bool = False) -> None:
        """Begin a handshake, unless one began just now or nobody knows where the peer is."""
        if not is_retry:
            if now - peer.last_initiation_sent_at < REKEY_TIMEOUT_S:
                return
            peer.attempts = 0
        if peer.path is None:
            self._drops[Drop.NO_ENDPOINT] += 1
            return
        initiation = self._handshakes.initiate(peer)
        if initiation is None:
            return
        peer.last_initiation_sent_at = now
        peer.retransmit_at = now + REKEY_TIMEOUT_S + self.jitter_s()
        self._emit(peer, initiation, peer.path, now)

    def complete(self, peer: Peer, *, is_initiator: bool) -> None:
        """Report that both sides have the keys."""
        peer.note_handshake_completed(self._unix_ns())
        self._events.append(HandshakeCompleted(peer.public_key, is_initiator))

    def receive_cookie(self, reply: CookieReply, now: float) -> None:
        """Keep the cookie that a peer under load wants to see."""
        peer = self._handshakes.initiator_of(reply.receiver)
        if peer is None:
            session = self._sessions.get(reply.receiver)
            peer = None if session is None else self._peers.get(session.peer_key)
        if peer is None or not peer.jar.consume(reply, now):
            self._drops[Drop.COOKIE_INVALID] += 1

    def abandon(self, peer: Peer) -> None:
        """Forget the handshake that we began with a peer, if any."""
        self._handshakes.drop(peer)

    def forget(self, sessions: list[Session]) -> None:
        """Take sessions out of the table."""
        for session in sessions:
            self._sessions.pop(session.local_index, None)
            if self.sink is not None:
                self.sink.forget_session(session)

    def jitter_s(self) -> float:
        """Return what to put a timer off by, so that two sides do not try at once."""
        if not self._jitters:
            # Drawn in lots: timers are armed anew with every burst that is answered.
            self._jitters = list(memoryview(self._entropy(_JITTERS * 2)).cast("H"))
        return self._jitters.pop() / 65536 * REKEY_JITTER_S

    def _answer(self, initiation: Initiation, wire_bytes: int, path: Path, now: float) -> None:
        answered = self._handshakes.answer(initiation, self._peers, now)
        if answered is None:
            return
        peer = answered.peer
        self._install(peer, answered.keys, now)
        self._follow(peer, path)
        peer.received_bytes += wire_bytes
        self._emit(peer, answered.response, path, now)

    def _finish(self, response: Response, wire_bytes: int, path: Path, now: float) -> Peer | None:
        finished = self._handshakes.finish(response)
        if finished is None:
            return None
        peer, keys = finished
        self._install(peer, keys, now)
        self._follow(peer, path)
        peer.received_bytes += wire_bytes
        peer.note_authentic_received(now)
        self.complete(peer, is_initiator=True)
        # The responder may not use the keys before it heard from us on them.
        return peer

    def _install(self, peer: Peer, keys: TransportKeys, now: float) -> None:
        session = Session(keys, peer.public_key, now)
        self._sessions[session.local_index] = session
        if self.sink is not None:
            self.sink.install_session(session)
        adopt = peer.adopt_as_initiator if keys.is_initiator else peer.adopt_as_responder
        self.forget(adopt(session, now))

    def _follow(self, peer: Peer, path: Path) -> None:
        if path != peer.path and (self._roams or peer.path is None):
            peer.path = path
            self._events.append(PeerRoamed(peer.public_key, path))

    def _emit(self, peer: Peer, message: bytes, path: Path, now: float) -> None:
        data = peer.jar.add_macs(message, now)
        peer.sent_bytes += len(data)
        peer.note_authentic_sent(now)
        self._outbox.append(Datagram(data, path))
        self._wakes.schedule(peer, peer.deadline())
