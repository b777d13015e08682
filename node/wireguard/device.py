"""The WireGuard machine: all peers of one private key.

Drive it with `receive`, `send`, `on_deadline`; carry out what `transmit` and `next_event` return,
and call again at `deadline`. It never sends by itself, reads no clock and draws no random bytes
but by the callables it was given.

Handshake messages wait in a bounded queue and a few are worked off per call, so that a flood of
them cannot hold up data. A queue of an eighth of its size is the protocol's "under load".

The data path takes transport messages over: it looks sessions up in `sessions`, seals and opens by
itself and reports bursts with `note_sent` and `note_received`.
"""

from __future__ import annotations

import heapq
import itertools
from collections import Counter, deque
from typing import TYPE_CHECKING, Protocol

from node.wireguard.allowed_ips import AllowedIPs
from node.wireguard.constants import (
    HANDSHAKE_QUEUE,
    INITIATION_INTERVAL_S,
    MAX_HANDSHAKE_ATTEMPTS,
    REKEY_JITTER_S,
    REKEY_TIMEOUT_S,
    UNDER_LOAD_QUEUE,
    UNDER_LOAD_STICKY_S,
    ZERO_KEYS_S,
)
from node.wireguard.cookie import CookieChecker, SourceLimiter
from node.wireguard.events import (
    Datagram,
    Drop,
    Event,
    HandshakeAbandoned,
    HandshakeCompleted,
    PacketReceived,
    PeerRoamed,
)
from node.wireguard.handshake import InitiatorHandshake, ResponderHandshake
from node.wireguard.inner import source_of, trimmed_length
from node.wireguard.messages import (
    CookieReply,
    Initiation,
    MessageType,
    Response,
    message_type,
    transport_fields,
)
from node.wireguard.peer import Peer
from node.wireguard.primitives import CryptographyRefusedError
from node.wireguard.session import Session
from node.wireguard.tai64n import Stamper

if TYPE_CHECKING:
    from collections.abc import Callable

    from node.wireguard.handshake import TransportKeys
    from node.wireguard.keys import SecretKey
    from node.wireguard.path import Path

HANDSHAKES_PER_CALL = 4


class SessionSink(Protocol):
    """A data path that seals and opens by itself wants to know the sessions."""

    def install_session(self, session: Session) -> None:
        """Accept messages to `session.local_index` from now on."""

    def forget_session(self, session: Session) -> None:
        """Stop using a session and drop its keys."""


class Device:
    """One WireGuard interface without its sockets.

    `entropy(n)` gives n random bytes; `unix_ns()` the wall clock in nanoseconds. `now` arguments
    are monotonic seconds. With `roams`, a peer's path follows its authenticated datagrams.
    """

    def __init__(
        self,
        private: SecretKey,
        *,
        entropy: Callable[[int], bytes],
        unix_ns: Callable[[], int],
        mtu: int = 1420,
        roams: bool = True,
    ) -> None:
        self.public_key = private.public()
        self.mtu = mtu
        self.peers: dict[bytes, Peer] = {}
        self.sessions: dict[int, Session] = {}
        self.allowed_ips: AllowedIPs[Peer] = AllowedIPs()
        self.drops: Counter[Drop] = Counter()
        self.sink: SessionSink | None = None
        self._private = private
        self._entropy = entropy
        self._unix_ns = unix_ns
        self._roams = roams
        self._checker = CookieChecker(self.public_key, entropy)
        self._limiter = SourceLimiter()
        self._stamper = Stamper()
        self._handshakes: dict[int, Peer] = {}
        self._queue: deque[tuple[MessageType, bytes, Path]] = deque()
        self._under_load_until = float("-inf")
        self._outbox: list[Datagram] = []
        self._events: deque[Event] = deque()
        self._wakes: list[tuple[float, int, Peer]] = []
        self._woken_at: dict[Peer, float] = {}
        self._sequence = itertools.count()

    # Configuration.

    def add_peer(self, public_key: bytes, preshared: SecretKey | None = None) -> Peer:
        """Add a peer, or return the one that has this key."""
        peer = self.peers.get(public_key)
        if peer is None:
            peer = self.peers[public_key] = Peer(public_key, preshared)
        return peer

    def remove_peer(self, public_key: bytes) -> None:
        """Forget a peer, its keys and its prefixes."""
        peer = self.peers.pop(public_key, None)
        if peer is None:
            return
        self._forget(peer.drop_sessions())
        self._drop_handshake(peer)
        self.allowed_ips.remove_owner(peer)
        self._woken_at.pop(peer, None)

    def set_persistent_keepalive(self, peer: Peer, seconds: int, now: float) -> None:
        """Send a keepalive at least every `seconds`; 0 turns it off."""
        peer.persistent_keepalive_s = seconds
        peer.persistent_at = now if seconds else None
        self._schedule(peer)

    def wipe(self) -> None:
        """Forget every key: the interface goes away."""
        for public_key in list(self.peers):
            self.remove_peer(public_key)
        self._private.wipe()

    # Input.

    def receive(self, datagram: bytes | memoryview, path: Path, now: float) -> None:
        """Take one datagram from the network. Noise is counted and otherwise ignored."""
        match message_type(datagram):
            case None:
                self.drops[Drop.NOT_WIREGUARD] += 1
            case MessageType.TRANSPORT:
                self._receive_transport(datagram, path, now)
            case MessageType.COOKIE_REPLY:
                self._receive_cookie(CookieReply.unpack(bytes(datagram)), now)
            case kind:
                self._enqueue(kind, bytes(datagram), path, now)

    def send(self, peer: Peer, packet: bytes, now: float) -> None:
        """Send one inner packet, or stage it while a handshake runs."""
        if len(peer.staged) == peer.staged.maxlen:
            self.drops[Drop.STAGE_FULL] += 1
        peer.staged.append(packet)
        self._send_staged(peer, now)

    def deadline(self) -> float | None:
        """Return when to call `on_deadline`: at once while handshakes wait."""
        if self._queue:
            return float("-inf")
        return self._wakes[0][0] if self._wakes else None

    def on_deadline(self, now: float) -> None:
        """Work off some waiting handshakes and every timer that is due."""
        for _ in range(min(HANDSHAKES_PER_CALL, len(self._queue))):
            kind, message, path = self._queue.popleft()
            self._receive_handshake(kind, message, path, now)
        while self._wakes and self._wakes[0][0] <= now:
            at, _, peer = heapq.heappop(self._wakes)
            if self._woken_at.get(peer) == at:
                del self._woken_at[peer]
                self._run_timers(peer, now)
                self._schedule(peer)

    def transmit(self) -> list[Datagram]:
        """Return the datagrams to send, in order."""
        outbox, self._outbox = self._outbox, []
        return outbox

    def next_event(self) -> Event | None:
        """Return the next event, or None."""
        return self._events.popleft() if self._events else None

    # What the data path reports.

    def note_sent(self, peer: Peer, wire_bytes: int, now: float) -> None:
        """Record data messages that went out on the peer's current session."""
        peer.sent_bytes += wire_bytes
        peer.note_data_sent(now, self._jitter_s() if peer.new_handshake_at is None else 0.0)
        current = peer.current
        if current is not None and current.wants_rekey_on_send(now):
            self._initiate(peer, now)
        self._schedule(peer)

    def note_received(
        self, session: Session, path: Path, wire_bytes: int, now: float, *, has_data: bool
    ) -> Peer | None:
        """Record authentic messages of `session`; return the peer they are from."""
        peer = self.peers.get(session.peer_key)
        if peer is None:
            return None
        peer.received_bytes += wire_bytes
        if session is peer.next:
            self._forget(peer.confirm_next())
            self._complete(peer, is_initiator=False)
            self._send_staged(peer, now)
        if self._roams and path != peer.path:
            peer.path = path
            self._events.append(PeerRoamed(peer.public_key, path))
        peer.note_authentic_received(now)
        if has_data:
            peer.note_data_received(now)
        if session is peer.current and session.wants_rekey_on_receive(now):
            session.rekey_asked = True
            self._initiate(peer, now)
        self._schedule(peer)
        return peer

    # Transport messages, one at a time.

    def _receive_transport(self, datagram: bytes | memoryview, path: Path, now: float) -> None:
        session = self.sessions.get(transport_fields(datagram)[0])
        if session is None:
            self.drops[Drop.UNKNOWN_INDEX] += 1
            return
        if not session.can_receive(now):
            self.drops[Drop.SESSION_EXPIRED] += 1
            return
        plaintext = session.open(datagram)
        if plaintext is None:
            self.drops[Drop.TAG_OR_REPLAY] += 1
            return
        has_data = bool(plaintext)
        peer = self.note_received(session, path, len(datagram), now, has_data=has_data)
        if peer is not None and has_data:
            self._deliver(peer, plaintext)

    def _deliver(self, peer: Peer, plaintext: bytes) -> None:
        length = trimmed_length(plaintext)
        if length is None:
            self.drops[Drop.INNER_MALFORMED] += 1
        elif self.allowed_ips.lookup(source_of(plaintext)) is not peer:
            self.drops[Drop.INNER_SOURCE] += 1
        else:
            self._events.append(PacketReceived(peer.public_key, plaintext[:length]))

    def _send_staged(self, peer: Peer, now: float) -> None:
        session = peer.sending_session(now)
        if session is None:
            self._initiate(peer, now)
            return
        if not peer.staged:
            return
        if peer.path is None:
            self.drops[Drop.NO_ENDPOINT] += len(peer.staged)
            peer.staged.clear()
            return
        wire_bytes, has_data = 0, False
        while peer.staged and session.can_send(now):
            packet = peer.staged.popleft()
            has_data = has_data or bool(packet)
            message = session.seal(packet, self.mtu)
            wire_bytes += len(message)
            self._outbox.append(Datagram(message, peer.path))
        if has_data:
            self.note_sent(peer, wire_bytes, now)
        else:
            peer.sent_bytes += wire_bytes
            peer.note_authentic_sent(now)
            self._schedule(peer)

    def _send_keepalive(self, peer: Peer, now: float) -> None:
        if not peer.staged:
            peer.staged.append(b"")
        self._send_staged(peer, now)

    # Handshakes.

    def _enqueue(self, kind: MessageType, message: bytes, path: Path, now: float) -> None:
        if not self._checker.has_mac1(message):
            self.drops[Drop.BAD_MAC1] += 1
            return
        if len(self._queue) >= HANDSHAKE_QUEUE:
            self.drops[Drop.HANDSHAKE_QUEUE_FULL] += 1
            return
        self._queue.append((kind, message, path))
        if len(self._queue) >= UNDER_LOAD_QUEUE:
            self._under_load_until = now + UNDER_LOAD_STICKY_S

    def _receive_handshake(self, kind: MessageType, message: bytes, path: Path, now: float) -> None:
        if now < self._under_load_until:
            source = path.cookie_source()
            if not self._checker.has_mac2(message, source, now):
                reply = self._checker.reply(message, source, now)
                self._outbox.append(Datagram(reply.pack(), path))
                return
            if not self._limiter.allow(path.rate_source(), now):
                self.drops[Drop.HANDSHAKE_RATE] += 1
                return
        try:
            if kind is MessageType.INITIATION:
                self._answer(Initiation.unpack(message), path, now)
            else:
                self._finish(Response.unpack(message), path, now)
        except CryptographyRefusedError:
            self.drops[Drop.HANDSHAKE_INVALID] += 1

    def _answer(self, initiation: Initiation, path: Path, now: float) -> None:
        handshake = ResponderHandshake(self._private, self.public_key, initiation)
        peer = self.peers.get(handshake.remote_public)
        if peer is None:
            self.drops[Drop.UNKNOWN_PEER] += 1
            return
        timestamp = handshake.read_timestamp()
        if timestamp <= peer.last_timestamp:
            self.drops[Drop.STALE_TIMESTAMP] += 1
            return
        if now - peer.last_initiation_accepted_at < INITIATION_INTERVAL_S:
            self.drops[Drop.HANDSHAKE_RATE] += 1
            return
        index = self._new_index()
        response, keys = handshake.respond(peer.preshared, self._entropy(32), index)
        peer.last_timestamp = timestamp
        peer.last_initiation_accepted_at = now
        self._install(peer, keys, now)
        self._follow(peer, path)
        peer.received_bytes += len(initiation.pack()) + 32
        self._emit_handshake(peer, response.pack(), path, now)

    def _finish(self, response: Response, path: Path, now: float) -> None:
        peer = self._handshakes.get(response.receiver)
        if peer is None or peer.handshake is None:
            self.drops[Drop.UNKNOWN_INDEX] += 1
            return
        keys = peer.handshake.finish(response)
        self._drop_handshake(peer)
        self._install(peer, keys, now)
        self._follow(peer, path)
        peer.received_bytes += len(response.pack()) + 32
        peer.note_authentic_received(now)
        self._complete(peer, is_initiator=True)
        # The responder may not use the keys before it heard from us on them.
        self._send_keepalive(peer, now)
        self._schedule(peer)

    def _install(self, peer: Peer, keys: TransportKeys, now: float) -> None:
        session = Session(keys, peer.public_key, now)
        self.sessions[session.local_index] = session
        if self.sink is not None:
            self.sink.install_session(session)
        adopt = peer.adopt_as_initiator if keys.is_initiator else peer.adopt_as_responder
        self._forget(adopt(session, now))

    def _follow(self, peer: Peer, path: Path) -> None:
        if path != peer.path and (self._roams or peer.path is None):
            peer.path = path
            self._events.append(PeerRoamed(peer.public_key, path))

    def _complete(self, peer: Peer, *, is_initiator: bool) -> None:
        peer.note_handshake_completed(self._unix_ns())
        self._events.append(HandshakeCompleted(peer.public_key, is_initiator))

    def _initiate(self, peer: Peer, now: float, *, is_retry: bool = False) -> None:
        if not is_retry:
            if now - peer.last_initiation_sent_at < REKEY_TIMEOUT_S:
                return
            peer.attempts = 0
        if peer.path is None:
            self.drops[Drop.NO_ENDPOINT] += 1
            return
        self._drop_handshake(peer)
        index = self._new_index()
        handshake = InitiatorHandshake(self._private, peer.preshared, index)
        try:
            initiation = handshake.initiate(
                peer.public_key, self._entropy(32), self._stamper.stamp(self._unix_ns())
            )
        except CryptographyRefusedError:
            self.drops[Drop.HANDSHAKE_INVALID] += 1
            return
        peer.handshake = handshake
        self._handshakes[index] = peer
        peer.last_initiation_sent_at = now
        peer.retransmit_at = now + REKEY_TIMEOUT_S + self._jitter_s()
        self._emit_handshake(peer, initiation.pack(), peer.path, now)

    def _emit_handshake(self, peer: Peer, message: bytes, path: Path, now: float) -> None:
        data = peer.jar.add_macs(message, now)
        peer.sent_bytes += len(data)
        peer.note_authentic_sent(now)
        self._outbox.append(Datagram(data, path))
        self._schedule(peer)

    def _receive_cookie(self, reply: CookieReply, now: float) -> None:
        peer = self._handshakes.get(reply.receiver)
        if peer is None:
            session = self.sessions.get(reply.receiver)
            peer = None if session is None else self.peers.get(session.peer_key)
        if peer is None or not peer.jar.consume(reply, now):
            self.drops[Drop.COOKIE_INVALID] += 1

    # Timers.

    def _run_timers(self, peer: Peer, now: float) -> None:
        if _is_due(peer.zero_keys_at, now):
            peer.zero_keys_at = None
            self._forget(peer.drop_sessions())
            self._drop_handshake(peer)
        if _is_due(peer.retransmit_at, now):
            self._retransmit(peer, now)
        if _is_due(peer.new_handshake_at, now):
            peer.new_handshake_at = None
            self._initiate(peer, now)
        if _is_due(peer.keepalive_at, now):
            peer.keepalive_at = None
            self._send_keepalive(peer, now)
            if peer.needs_another_keepalive:
                peer.needs_another_keepalive = False
                peer.note_data_received(now)
        if _is_due(peer.persistent_at, now):
            peer.persistent_at = now + peer.persistent_keepalive_s
            self._send_keepalive(peer, now)

    def _retransmit(self, peer: Peer, now: float) -> None:
        peer.retransmit_at = None
        if peer.attempts >= MAX_HANDSHAKE_ATTEMPTS:
            self._drop_handshake(peer)
            peer.keepalive_at = None
            peer.staged.clear()
            if peer.zero_keys_at is None:
                peer.zero_keys_at = now + ZERO_KEYS_S
            self._events.append(HandshakeAbandoned(peer.public_key))
            return
        peer.attempts += 1
        self._initiate(peer, now, is_retry=True)

    def _schedule(self, peer: Peer) -> None:
        """Make sure that a wake-up is queued no later than the peer's earliest timer."""
        at = peer.deadline()
        if at is None or at >= self._woken_at.get(peer, float("inf")):
            return
        self._woken_at[peer] = at
        heapq.heappush(self._wakes, (at, next(self._sequence), peer))

    # Tables.

    def _new_index(self) -> int:
        while True:
            index = int.from_bytes(self._entropy(4), "little")
            if index not in self.sessions and index not in self._handshakes:
                return index

    def _drop_handshake(self, peer: Peer) -> None:
        if peer.handshake is not None:
            self._handshakes.pop(peer.handshake.local_index, None)
            peer.handshake.wipe()
            peer.handshake = None

    def _forget(self, sessions: list[Session]) -> None:
        for session in sessions:
            self.sessions.pop(session.local_index, None)
            if self.sink is not None:
                self.sink.forget_session(session)

    def _jitter_s(self) -> float:
        return int.from_bytes(self._entropy(2), "little") / 65536 * REKEY_JITTER_S


def _is_due(at: float | None, now: float) -> bool:
    return at is not None and at <= now
