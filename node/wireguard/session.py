"""One pair of transport keys: sealing, opening and its age.

The slow path seals and opens whole messages here; the data path reads `send_cipher`, `window` and
the counters directly and reports what it did in bursts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from node.wireguard.constants import (
    PADDING,
    REJECT_AFTER_MESSAGES,
    REJECT_AFTER_TIME_S,
    REKEY_AFTER_MESSAGES,
    REKEY_AFTER_TIME_S,
    REKEY_ON_RECEIVE_S,
)
from node.wireguard.messages import (
    TRANSPORT_HEADER_BYTES,
    transport_fields,
    transport_header,
)
from node.wireguard.primitives import nonce
from node.wireguard.replay import ReplayWindow

if TYPE_CHECKING:
    from node.wireguard.handshake import TransportKeys


def padded_length(length: int, mtu: int) -> int:
    """Return the plaintext length of a packet: a multiple of 16, unless that passes the MTU."""
    padded = -(-length // PADDING) * PADDING
    return max(length, min(padded, mtu))


class Session:
    """Transport keys both ways between us and one peer. Never compare, copy or print it."""

    __slots__ = (
        "born_at",
        "is_initiator",
        "local_index",
        "peer_key",
        "receive_cipher",
        "rekey_asked",
        "remote_index",
        "send_cipher",
        "send_counter",
        "window",
    )

    def __init__(self, keys: TransportKeys, peer_key: bytes, now: float) -> None:
        self.local_index = keys.local_index
        self.remote_index = keys.remote_index
        self.peer_key = peer_key
        self.is_initiator = keys.is_initiator
        self.born_at = now
        self.send_cipher = ChaCha20Poly1305(keys.send)
        self.receive_cipher = ChaCha20Poly1305(keys.receive)
        self.send_counter = 0
        self.window = ReplayWindow()
        self.rekey_asked = False

    def can_send(self, now: float) -> bool:
        """Whether the keys are young and little used enough to send."""
        return (
            now - self.born_at < REJECT_AFTER_TIME_S and self.send_counter < REJECT_AFTER_MESSAGES
        )

    def can_receive(self, now: float) -> bool:
        """Whether the keys are young enough to accept a message."""
        return now - self.born_at < REJECT_AFTER_TIME_S

    def wants_rekey_on_send(self, now: float) -> bool:
        """Whether sending should start a new handshake (time: the initiator alone)."""
        return self.send_counter >= REKEY_AFTER_MESSAGES or (
            self.is_initiator and now - self.born_at >= REKEY_AFTER_TIME_S
        )

    def wants_rekey_on_receive(self, now: float) -> bool:
        """Whether receiving should start one handshake before the keys expire."""
        return (
            self.is_initiator and not self.rekey_asked and now - self.born_at >= REKEY_ON_RECEIVE_S
        )

    def seal(self, packet: bytes, mtu: int) -> bytes:
        """Return the transport message for one packet; an empty packet is a keepalive."""
        counter = self.send_counter
        self.send_counter = counter + 1
        plaintext = packet.ljust(padded_length(len(packet), mtu), b"\0")
        return transport_header(self.remote_index, counter) + self.send_cipher.encrypt(
            nonce(counter), plaintext, None
        )

    def open(self, datagram: bytes | memoryview) -> bytes | None:
        """Return the padded plaintext, or None when the tag or the counter is refused.

        The tag comes first: a forged counter must not move the window.
        """
        _, counter = transport_fields(datagram)
        if counter >= REJECT_AFTER_MESSAGES:
            return None
        try:
            plaintext = self.receive_cipher.decrypt(
                nonce(counter), datagram[TRANSPORT_HEADER_BYTES:], None
            )
        except InvalidTag:
            return None
        return plaintext if self.window.accept(counter) else None

    def __repr__(self) -> str:
        return f"Session(local_index={self.local_index:#010x}, keys=<redacted>)"


class SessionSink(Protocol):
    """A data path that seals and opens by itself wants to know the sessions."""

    def install_session(self, session: Session) -> None:
        """Accept messages to `session.local_index` from now on."""

    def forget_session(self, session: Session) -> None:
        """Stop using a session and drop its keys."""
