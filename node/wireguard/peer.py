"""One peer: its keys in three places, its timers, what waits for a session.

    previous   still accepted, never sent on
    current    sent on and accepted
    next       we answered a handshake: accepted, and current from its first authentic message

Timers, all monotonic seconds or None (relay reference 9.5):

    retransmit_at      an initiation is out and unanswered
    keepalive_at       data came, nothing went back
    new_handshake_at   data went, nothing came back
    zero_keys_at       forget every key
    persistent_at      the configured keepalive
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from node.wireguard.constants import (
    KEEPALIVE_TIMEOUT_S,
    NEW_HANDSHAKE_S,
    STAGED_PACKETS,
    ZERO_KEYS_S,
)
from node.wireguard.cookie import CookieJar

if TYPE_CHECKING:
    from node.wireguard.handshake import InitiatorHandshake
    from node.wireguard.keys import SecretKey
    from node.wireguard.path import Path
    from node.wireguard.session import Session


class Peer:
    """State of one peer. The device drives it; nothing here sends."""

    def __init__(self, public_key: bytes, preshared: SecretKey | None = None) -> None:
        self.public_key = public_key
        self.preshared = preshared
        self.jar = CookieJar(public_key)
        self.path: Path | None = None
        self.persistent_keepalive_s = 0
        self.handshake: InitiatorHandshake | None = None
        self.attempts = 0
        self.last_initiation_sent_at = float("-inf")
        self.last_initiation_accepted_at = float("-inf")
        self.last_timestamp = b""
        self.previous: Session | None = None
        self.current: Session | None = None
        self.next: Session | None = None
        self.staged: deque[bytes] = deque(maxlen=STAGED_PACKETS)
        self.retransmit_at: float | None = None
        self.keepalive_at: float | None = None
        self.needs_another_keepalive = False
        self.new_handshake_at: float | None = None
        self.zero_keys_at: float | None = None
        self.persistent_at: float | None = None
        self.last_handshake_unix_ns = 0
        self.sent_bytes = 0
        self.received_bytes = 0

    def deadline(self) -> float | None:
        """Return when the earliest timer fires."""
        timers = (
            self.retransmit_at,
            self.keepalive_at,
            self.new_handshake_at,
            self.zero_keys_at,
            self.persistent_at,
        )
        return min((at for at in timers if at is not None), default=None)

    def sessions(self) -> list[Session]:
        """Return the live sessions, oldest first."""
        slots = (self.previous, self.current, self.next)
        return [session for session in slots if session is not None]

    def sending_session(self, now: float) -> Session | None:
        """Return the session to send on, or None when a handshake must come first."""
        current = self.current
        return current if current is not None and current.can_send(now) else None

    def adopt_as_initiator(self, session: Session, now: float) -> list[Session]:
        """Install keys from a response to us; returns the sessions that fell out."""
        # A responder keypair that was never confirmed still may be what the other side sends on.
        dropped = [self.previous] if self.previous is not None else []
        if self.next is not None:
            if self.current is not None:
                dropped.append(self.current)
            self.previous, self.next = self.next, None
        else:
            self.previous = self.current
        self.current = session
        self.zero_keys_at = now + ZERO_KEYS_S
        return dropped

    def adopt_as_responder(self, session: Session, now: float) -> list[Session]:
        """Hold keys of a response that we sent until the peer uses them."""
        dropped = [old for old in (self.next, self.previous) if old is not None]
        self.previous = None
        self.next = session
        self.zero_keys_at = now + ZERO_KEYS_S
        return dropped

    def confirm_next(self) -> list[Session]:
        """Make the next keys current, now that the peer used them; return what fell out."""
        dropped = [self.previous] if self.previous is not None else []
        self.previous, self.current, self.next = self.current, self.next, None
        return dropped

    def drop_sessions(self) -> list[Session]:
        """Forget every key of this peer; returns the sessions."""
        dropped = self.sessions()
        self.previous = self.current = self.next = None
        return dropped

    def note_authentic_sent(self, now: float) -> None:
        """Record an authenticated message that went out: no keepalive is owed."""
        self.keepalive_at = None
        self._rearm_persistent(now)

    def note_data_sent(self, now: float, jitter_s: float) -> None:
        """User data went out: an answer of some kind should come."""
        self.note_authentic_sent(now)
        if self.new_handshake_at is None:
            self.new_handshake_at = now + NEW_HANDSHAKE_S + jitter_s

    def note_authentic_received(self, now: float) -> None:
        """Record an authenticated message that came in: the peer is alive."""
        self.new_handshake_at = None
        self._rearm_persistent(now)

    def note_data_received(self, now: float) -> None:
        """User data came in: answer within the keepalive timeout."""
        if self.keepalive_at is None:
            self.keepalive_at = now + KEEPALIVE_TIMEOUT_S
        else:
            self.needs_another_keepalive = True

    def note_handshake_completed(self, unix_ns: int) -> None:
        """Keys are fresh: stop asking for them."""
        self.retransmit_at = None
        self.attempts = 0
        self.last_handshake_unix_ns = unix_ns

    def _rearm_persistent(self, now: float) -> None:
        if self.persistent_keepalive_s:
            self.persistent_at = now + self.persistent_keepalive_s
