"""The WireGuard machine: all peers of one private key.

Drive it with `receive`, `send`, `on_deadline`; carry out what `transmit` and `next_event` return,
and call again at `deadline`. It never sends by itself, reads no clock and draws no random bytes
but by the callables it was given.

`negotiator` turns handshake messages into sessions; here is what peers send and receive on them,
and the timers.

The data path takes transport messages over: it looks sessions up in `sessions`, seals and opens by
itself and reports bursts with `note_sent` and `note_received`.
"""

from __future__ import annotations

from collections import Counter, deque
from typing import TYPE_CHECKING

from node.wireguard.allowed_ips import AllowedIPs
from node.wireguard.constants import MAX_HANDSHAKE_ATTEMPTS, ZERO_KEYS_S
from node.wireguard.events import (
    Datagram,
    Drop,
    Event,
    HandshakeAbandoned,
    PacketReceived,
    PeerRoamed,
)
from node.wireguard.inner import source_of, trimmed_length
from node.wireguard.messages import CookieReply, MessageType, message_type, transport_fields
from node.wireguard.negotiator import Negotiator
from node.wireguard.peer import Peer
from node.wireguard.wakes import Wakes

if TYPE_CHECKING:
    from collections.abc import Callable

    from node.wireguard.keys import SecretKey
    from node.wireguard.path import Path
    from node.wireguard.session import Session, SessionSink

HANDSHAKES_PER_CALL = 4


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
        self._private = private
        self._roams = roams
        self._outbox: list[Datagram] = []
        self._events: deque[Event] = deque()
        self._wakes = Wakes()
        self._negotiator = Negotiator(
            private,
            self.public_key,
            peers=self.peers,
            sessions=self.sessions,
            drops=self.drops,
            outbox=self._outbox,
            events=self._events,
            wakes=self._wakes,
            entropy=entropy,
            unix_ns=unix_ns,
            roams=roams,
        )

    @property
    def sink(self) -> SessionSink | None:
        """Who is told of sessions that come and go."""
        return self._negotiator.sink

    @sink.setter
    def sink(self, sink: SessionSink | None) -> None:
        self._negotiator.sink = sink

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
        self._negotiator.forget(peer.drop_sessions())
        self._negotiator.abandon(peer)
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
                self._negotiator.receive_cookie(CookieReply.unpack(bytes(datagram)), now)
            case kind:
                self._negotiator.admission.enqueue(kind, bytes(datagram), path, now)

    def send(self, peer: Peer, packet: bytes, now: float) -> None:
        """Send one inner packet, or stage it while a handshake runs."""
        if len(peer.staged) == peer.staged.maxlen:
            self.drops[Drop.STAGE_FULL] += 1
        peer.staged.append(packet)
        self._send_staged(peer, now)

    def deadline(self) -> float | None:
        """Return when to call `on_deadline`: at once while handshakes wait."""
        if self._negotiator.admission:
            return float("-inf")
        return self._wakes.first()

    def on_deadline(self, now: float) -> None:
        """Work off some waiting handshakes and every timer that is due."""
        for _ in range(min(HANDSHAKES_PER_CALL, len(self._negotiator.admission))):
            peer = self._negotiator.work_off_one(now)
            if peer is not None:
                self._send_keepalive(peer, now)
                self._schedule(peer)
        while (peer := self._wakes.pop_due(now)) is not None:
            self._run_timers(peer, now)
            self._schedule(peer)

    @property
    def has_output(self) -> bool:
        """Whether `transmit` or `next_event` has something."""
        return bool(self._outbox or self._events)

    def transmit(self) -> list[Datagram]:
        """Return the datagrams to send, in order."""
        datagrams = self._outbox.copy()
        self._outbox.clear()
        return datagrams

    def next_event(self) -> Event | None:
        """Return the next event, or None."""
        return self._events.popleft() if self._events else None

    # What the data path reports.

    def note_sent(self, peer: Peer, wire_bytes: int, now: float) -> None:
        """Record data messages that went out on the peer's current session."""
        peer.sent_bytes += wire_bytes
        if peer.new_handshake_at is None:
            peer.note_data_sent(now, self._negotiator.jitter_s())
            self._wakes.schedule(peer, peer.new_handshake_at)
        else:
            # Whatever else this changes only puts timers off: those that fire early look again.
            peer.note_authentic_sent(now)
        current = peer.current
        if current is not None and current.wants_rekey_on_send(now):
            self._negotiator.initiate(peer, now)

    def note_received(
        self, session: Session, path: Path, wire_bytes: int, now: float, *, has_data: bool
    ) -> Peer | None:
        """Record authentic messages of `session`; return the peer they are from."""
        peer = self.peers.get(session.peer_key)
        if peer is None:
            return None
        peer.received_bytes += wire_bytes
        if session is peer.next:
            self._negotiator.forget(peer.confirm_next())
            self._negotiator.complete(peer, is_initiator=False)
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
            self._negotiator.initiate(peer, now)
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
            self._negotiator.initiate(peer, now)
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

    # Timers.

    def _run_timers(self, peer: Peer, now: float) -> None:
        if _is_due(peer.zero_keys_at, now):
            peer.zero_keys_at = None
            self._negotiator.forget(peer.drop_sessions())
            self._negotiator.abandon(peer)
        if _is_due(peer.retransmit_at, now):
            self._retransmit(peer, now)
        if _is_due(peer.new_handshake_at, now):
            peer.new_handshake_at = None
            self._negotiator.initiate(peer, now)
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
            self._negotiator.abandon(peer)
            peer.keepalive_at = None
            peer.staged.clear()
            if peer.zero_keys_at is None:
                peer.zero_keys_at = now + ZERO_KEYS_S
            self._events.append(HandshakeAbandoned(peer.public_key))
            return
        peer.attempts += 1
        self._negotiator.initiate(peer, now, is_retry=True)

    def _schedule(self, peer: Peer) -> None:
        """Make sure that a wake-up is queued no later than the peer's earliest timer."""
        self._wakes.schedule(peer, peer.deadline())


def _is_due(at: float | None, now: float) -> bool:
    return at is not None and at <= now
