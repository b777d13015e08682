"""Who may use this relay: the question asked at connect time, and limits before it.

A relay open to everybody is a free hub for strangers, so there is no default that admits: the
operator names a rule (relay reference 1.12). The verdict for a client comes from control, from a
URL, or from a fixed set of keys; `AcceptGate` bounds what strangers can cost before that.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Protocol

from relay.errors import RelayError
from relay.ratelimit import RateLimit, TokenBucket

if TYPE_CHECKING:
    from collections.abc import Collection

    from relay.frames import IpAddress
    from relay.session_server import AdmissionAsked

__all__ = [
    "MAX_VERDICT_BYTES",
    "AcceptGate",
    "Admission",
    "AdmitEveryone",
    "AdmitKeys",
    "NoVerdictError",
    "VerdictCache",
    "encode_question",
    "parse_verdict",
]

MAX_VERDICT_BYTES = 4096
MAX_VERDICTS = 65_536


class NoVerdictError(RelayError):
    """Whoever decides about clients could not be asked; the message says why."""


class Admission(Protocol):
    """Decides about one client; control implements this to host a relay."""

    async def admits(self, asked: AdmissionAsked) -> bool:
        """Return whether the client may use the relay.

        Raises NoVerdictError when nobody could be asked: a newcomer is turned away then, as after
        any exception, and whoever was let in before stays.
        """
        ...


class AdmitEveryone:
    """An open relay, for laboratories and for networks closed by other means."""

    async def admits(self, asked: AdmissionAsked) -> bool:  # noqa: ARG002  the protocol's shape
        """Say yes."""
        return True


class AdmitKeys:
    """Admits the node keys it was given."""

    def __init__(self, keys: Collection[bytes]) -> None:
        self._keys = frozenset(keys)

    async def admits(self, asked: AdmissionAsked) -> bool:
        """Say whether the key is one of them."""
        return asked.key in self._keys


def encode_question(asked: AdmissionAsked) -> bytes:
    """Return the JSON body posted to a verify URL."""
    fields = {"NodePublic": f"nodekey:{asked.key.hex()}", "Source": str(asked.address)}
    return json.dumps(fields, separators=(",", ":")).encode()


def parse_verdict(status: int, body: bytes) -> bool | None:
    """Read the answer of a verify URL; None when it is no answer at all."""
    if status != 200 or len(body) > MAX_VERDICT_BYTES:
        return None
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError):
        return None
    allow = fields.get("Allow") if isinstance(fields, dict) else None
    return allow if isinstance(allow, bool) else None


class VerdictCache:
    """Remembers verdicts for a while, so that a client that reconnects costs no question.

    A yes is kept for `yes_s` seconds, a no for `no_s`: a node that has just been registered
    should not wait for long. Bounded; the verdict that was noted first is forgotten first.
    """

    def __init__(self, *, yes_s: float, no_s: float, size: int = MAX_VERDICTS) -> None:
        self._yes_s = yes_s
        self._no_s = no_s
        self._size = size
        self._known: dict[tuple[bytes, IpAddress], tuple[bool, float]] = {}

    def look_up(self, asked: AdmissionAsked, now: float) -> bool | None:
        """Return the verdict about a key at an address, None if none is fresh."""
        verdict, until = self._known.get((asked.key, asked.address), (False, now))
        return verdict if now < until else None

    def note(self, asked: AdmissionAsked, now: float, *, verdict: bool) -> None:
        """Remember a verdict that was given now."""
        question = (asked.key, asked.address)
        self._known.pop(question, None)
        while len(self._known) >= self._size:
            del self._known[next(iter(self._known))]
        self._known[question] = (verdict, now + (self._yes_s if verdict else self._no_s))


class AcceptGate:
    """Bounds connections that have not said who they are: how fast, how many, how many each.

    `admit` when a connection arrives, `release` when it was registered or went away.
    """

    def __init__(
        self,
        rate: RateLimit,
        *,
        max_pending: int = 2048,
        max_pending_per_source: int = 64,
        now: float,
    ) -> None:
        self._bucket = TokenBucket(rate, now)
        self._max_pending = max_pending
        self._max_pending_per_source = max_pending_per_source
        self._pending: Counter[str] = Counter()
        self._total = 0

    @property
    def pending(self) -> int:
        """How many connections are between accept and registration."""
        return self._total

    def admit(self, source: str, now: float) -> bool:
        """Whether a new connection from this address may be looked at; if so it is counted."""
        if (
            self._total >= self._max_pending
            or self._pending[source] >= self._max_pending_per_source
            or not self._bucket.try_take(1, now)
        ):
            return False
        self._pending[source] += 1
        self._total += 1
        return True

    def release(self, source: str) -> None:
        """Forget one counted connection of this address."""
        self._total -= 1
        self._pending[source] -= 1
        if self._pending[source] <= 0:
            del self._pending[source]
