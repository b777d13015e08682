"""Which handshake messages are worth the arithmetic, and when.

They wait in a bounded queue and a few are worked off per call, so that a flood of them cannot hold
up data. A queue of an eighth of its size is the protocol's "under load": from then on a message
must show a cookie, or gets one, and each source only so many.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from node.wireguard.constants import HANDSHAKE_QUEUE, UNDER_LOAD_QUEUE, UNDER_LOAD_STICKY_S
from node.wireguard.cookie import CookieChecker, SourceLimiter
from node.wireguard.events import Datagram, Drop

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable

    from node.wireguard.messages import MessageType
    from node.wireguard.path import Path


class Waiting(NamedTuple):
    """A handshake message with a right MAC1."""

    kind: MessageType
    message: bytes
    path: Path


class Admission:
    """The queue of handshake messages before one device."""

    def __init__(
        self, public_key: bytes, entropy: Callable[[int], bytes], drops: Counter[Drop]
    ) -> None:
        self._checker = CookieChecker(public_key, entropy)
        self._limiter = SourceLimiter()
        self._drops = drops
        self._queue: deque[Waiting] = deque()
        self.under_load_until = float("-inf")
        """Monotonic seconds; until then messages must show a cookie."""

    def __len__(self) -> int:
        return len(self._queue)

    def enqueue(self, kind: MessageType, message: bytes, path: Path, now: float) -> None:
        """Let a message wait, or count why not."""
        if not self._checker.has_mac1(message):
            self._drops[Drop.BAD_MAC1] += 1
            return
        if len(self._queue) >= HANDSHAKE_QUEUE:
            self._drops[Drop.HANDSHAKE_QUEUE_FULL] += 1
            return
        self._queue.append(Waiting(kind, message, path))
        if len(self._queue) >= UNDER_LOAD_QUEUE:
            self.under_load_until = now + UNDER_LOAD_STICKY_S

    def next(self, now: float) -> Waiting | Datagram | None:
        """Take the first off the queue: a message to work on, or a cookie reply to send.

        None when it was refused without a word. Raises IndexError when nothing waits.
        """
        waiting = self._queue.popleft()
        if now >= self.under_load_until:
            return waiting
        source = waiting.path.cookie_source()
        if not self._checker.has_mac2(waiting.message, source, now):
            return Datagram(self._checker.reply(waiting.message, source, now).pack(), waiting.path)
        if not self._limiter.allow(waiting.path.rate_source(), now):
            self._drops[Drop.HANDSHAKE_RATE] += 1
            return None
        return waiting
