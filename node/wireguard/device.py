"""The WireGuard machine: all peers of one private key.

Drive it with `receive`, `send`, `on_deadline`; carry out what `transmit` and `next_event` return,
and call again at `deadline`. It never sends by itself, reads no clock and draws no random bytes
but by the callables it was given.

`admission` says which handshake messages are worth work, `handshakes` does it; here is what follows
from them: sessions, timers, what is sent.

The data path takes transport messages over: it looks sessions up in `sessions`, seals and opens by
itself and reports bursts with `note_sent` and `note_received`.
"""

from __future__ import annotations

from collections import Counter, deque
from typing import TYPE_CHECKING

from node.wireguard.admission import Admission
from node.wireguard.allowed_ips import AllowedIPs
from node.wireguard.constants import (
    MAX_HANDSHAKE_ATTEMPTS,
    REKEY_JITTER_S,
    REKEY_TIMEOUT_S,
    ZERO_KEYS_S,
)
from node.wireguard.events import (
    Datagram,
    Drop,
    Event,
    HandshakeAbandoned,
    HandshakeCompleted,
    PacketReceived,
    PeerRoamed,
)
from node.wireguard.handshakes import Handshakes
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
from node.wireguard.wakes import Wakes

if TYPE_CHECKING:
    from collections.abc import Callable

    from node.wireguard.handshake import TransportKeys
    from node.wireguard.keys import SecretKey
    from node.wireguard.path import Path
    from node.wireguard.session import SessionSink

HANDSHAKES_PER_CALL = 4
_JITTERS = 256


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
        self._admission = Admission(self.public_key, entropy, self.drops)
        self._handshakes = Handshakes(
            private, self.public_key, self.sessions, self.drops, entropy=entropy, unix_ns=unix_ns
        )
        self._outbox: list[Datagram] = []
        self._events: deque[Event] = deque()
        self._wakes = Wakes()
        self._jitters: list[int] = []

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
        self._handshakes.drop(peer)
        self.allowed_ips.remove_owner(peer)
        self._wakes.forget(peer)

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
                self._admission.enqueue(kind, bytes(datagram), path, now)

    def send(self, peer: Peer, packet: bytes, now: float) -> None:
        """Send one inner packet, or stage it while a handshake runs."""
        if len(peer.staged) == peer.staged.maxlen:
            self.drops[Drop.STAGE_FULL] += 1
        peer.staged.append(packet)
        self._send_staged(peer, now)

    def deadline(self) -> float | None:
        """Return when to call `on_deadline`: at once while handshakes wait."""
        if self._admission:
            return float("-inf")
        return self._wakes.first()

    def on_deadline(self, now: float) -> None:
        """Work off some waiting handshakes and every timer that is due."""
        for _ in range(min(HANDSHAKES_PER_CALL, len(self._admission))):
            self._receive_handshake(now)
        while (peer := self._wakes.pop_due(now)) is not None:
            self._run_timers(peer, now)
            self._schedule(peer)

    @property
    def has_output(self) -> bool:
        """Whether `transmit` or `next_event` has something."""
        return bool(self._outbox or self._events)

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
        if peer.new_handshake_at is None:
            peer.note_data_sent(now, self._jitter_s())
            self._wakes.schedule(peer, peer.new_handshake_at)
        else:
            # Whatever else this changes only puts timers off: those that fire early look again.
            peer.note_authentic_sent(now)
        current = peer.current
        if current is not None and current.wants_rekey_on_send(now):
            self._initiate(peer, now)

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
        if self._roams and path is not peer.path and path != peer.path:
            peer.path = path
            self._events.append(PeerRoamed(peer.public_key, path))
        peer.note_authentic_received(now)
        if has_data:
            peer.note_data_received(now)
            self._wakes.schedule(peer, peer.keepalive_at)
        if session is peer.current and session.wants_rekey_on_receive(now):
            session.rekey_asked = True
            self._initiate(peer, now)
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

    def _receive_handshake(self, now: float) -> None:
        match self._admission.next(now):
            case None:
                return
            case Datagram() as reply:
                self._outbox.append(reply)
                return
            case kind, message, path:
                pass
        try:
            if kind is MessageType.INITIATION:
                self._answer(Initiation.unpack(message), len(message), path, now)
            else:
                self._finish(Response.unpack(message), len(message), path, now)
        except CryptographyRefusedError:
            self.drops[Drop.HANDSHAKE_INVALID] += 1

    def _answer(self, initiation: Initiation, wire_bytes: int, path: Path, now: float) -> None:
        answered = self._handshakes.answer(initiation, self.peers, now)
        if answered is None:
            return
        peer = answered.peer
        self._install(peer, answered.keys, now)
        self._follow(peer, path)
        peer.received_bytes += wire_bytes
        self._emit_handshake(peer, answered.response, path, now)

    def _finish(self, response: Response, wire_bytes: int, path: Path, now: float) -> None:
        finished = self._handshakes.finish(response)
        if finished is None:
            return
        peer, keys = finished
        self._install(peer, keys, now)
        self._follow(peer, path)
        peer.received_bytes += wire_bytes
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
        initiation = self._handshakes.initiate(peer)
        if initiation is None:
            return
        peer.last_initiation_sent_at = now
        peer.retransmit_at = now + REKEY_TIMEOUT_S + self._jitter_s()
        self._emit_handshake(peer, initiation, peer.path, now)

    def _emit_handshake(self, peer: Peer, message: bytes, path: Path, now: float) -> None:
        data = peer.jar.add_macs(message, now)
        peer.sent_bytes += len(data)
        peer.note_authentic_sent(now)
        self._outbox.append(Datagram(data, path))
        self._schedule(peer)

    def _receive_cookie(self, reply: CookieReply, now: float) -> None:
        peer = self._handshakes.initiator_of(reply.receiver)
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
            self._handshakes.drop(peer)
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
            self._handshakes.drop(peer)
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
        self._wakes.schedule(peer, peer.deadline())

    # Tables.

    def _forget(self, sessions: list[Session]) -> None:
        for session in sessions:
            self.sessions.pop(session.local_index, None)
            if self.sink is not None:
                self.sink.forget_session(session)

    def _jitter_s(self) -> float:
        if not self._jitters:
            # Drawn in lots: timers are armed anew with every burst that is answered.
            self._jitters = list(memoryview(self._entropy(_JITTERS * 2)).cast("H"))
        return self._jitters.pop() / 65536 * REKEY_JITTER_S


def _is_due(at: float | None, now: float) -> bool:
    return at is not None and at <= now
