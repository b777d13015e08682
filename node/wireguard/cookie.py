"""MAC1, MAC2 and cookies: proof of address before work, when there is too much work.

Relay reference 9.4. The cookie binds the sender's address and port, so a path must give the same
bytes every time; a relayed path gives synthetic ones.
"""

from __future__ import annotations

import hmac
from collections import OrderedDict
from typing import TYPE_CHECKING

from node.wireguard.constants import (
    COOKIE_LIFETIME_S,
    LABEL_COOKIE,
    LABEL_MAC1,
    SOURCE_BURST,
    SOURCE_RATE_PER_S,
    SOURCE_TABLE,
)
from node.wireguard.messages import MAC_BYTES, MACS_BYTES, CookieReply, sender_index
from node.wireguard.primitives import (
    KEY_BYTES,
    CryptographyRefusedError,
    hash_of,
    mac,
    xseal,
    xunseal,
)

if TYPE_CHECKING:
    from collections.abc import Callable

_NONCE_BYTES = 24
_NO_MAC = bytes(MAC_BYTES)


class CookieChecker:
    """The receiving side: verifies MACs and hands out cookies."""

    def __init__(self, local_public: bytes, entropy: Callable[[int], bytes]) -> None:
        self._mac1_key = hash_of(LABEL_MAC1, local_public)
        self._cookie_key = hash_of(LABEL_COOKIE, local_public)
        self._entropy = entropy
        self._secret = b""
        self._secret_until = float("-inf")

    def has_mac1(self, message: bytes) -> bool:
        """Whether the sender knows our public key."""
        want = mac(self._mac1_key, message[:-MACS_BYTES])
        return hmac.compare_digest(want, message[-MACS_BYTES:-MAC_BYTES])

    def has_mac2(self, message: bytes, source: bytes, now: float) -> bool:
        """Whether the sender received a cookie of ours at `source`."""
        if now >= self._secret_until:
            return False
        want = mac(mac(self._secret, source), message[:-MAC_BYTES])
        return hmac.compare_digest(want, message[-MAC_BYTES:])

    def reply(self, message: bytes, source: bytes, now: float) -> CookieReply:
        """Make the cookie reply to a handshake message."""
        if now >= self._secret_until:
            self._secret = self._entropy(KEY_BYTES)
            self._secret_until = now + COOKIE_LIFETIME_S
        nonce = self._entropy(_NONCE_BYTES)
        mac1 = message[-MACS_BYTES:-MAC_BYTES]
        sealed = xseal(self._cookie_key, nonce, mac(self._secret, source), mac1)
        return CookieReply(sender_index(message), nonce, sealed)


class CookieJar:
    """The sending side: adds MACs and keeps the peer's cookie for the next retry."""

    def __init__(self, remote_public: bytes) -> None:
        self._mac1_key = hash_of(LABEL_MAC1, remote_public)
        self._cookie_key = hash_of(LABEL_COOKIE, remote_public)
        self._last_mac1: bytes | None = None
        self._cookie = b""
        self._cookie_until = float("-inf")

    def add_macs(self, message: bytes, now: float) -> bytes:
        """Return the message with MAC1, and with MAC2 while a cookie is fresh."""
        mac1 = mac(self._mac1_key, message)
        self._last_mac1 = mac1
        message += mac1
        return message + (mac(self._cookie, message) if now < self._cookie_until else _NO_MAC)

    def consume(self, reply: CookieReply, now: float) -> bool:
        """Keep the cookie if the reply answers the last message sent; one reply a message."""
        if self._last_mac1 is None:
            return False
        try:
            cookie = xunseal(self._cookie_key, reply.nonce, reply.cookie, self._last_mac1)
        except CryptographyRefusedError:
            return False
        self._last_mac1 = None
        self._cookie = cookie
        self._cookie_until = now + COOKIE_LIFETIME_S
        return True


class SourceLimiter:
    """A token bucket per source address, in a table that forgets the least recently used.

    A limit for all sources together would let one flood lock everybody out.
    """

    def __init__(self) -> None:
        self._buckets: OrderedDict[bytes, tuple[float, float]] = OrderedDict()

    def allow(self, source: bytes, now: float) -> bool:
        """Take one token of the source's bucket, if it has one."""
        tokens, at = self._buckets.pop(source, (SOURCE_BURST, now))
        tokens = min(SOURCE_BURST, tokens + (now - at) * SOURCE_RATE_PER_S)
        allowed = tokens >= 1
        self._buckets[source] = (tokens - 1 if allowed else tokens, now)
        if len(self._buckets) > SOURCE_TABLE:
            self._buckets.popitem(last=False)
        return allowed
