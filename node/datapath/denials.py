"""A log of what was refused: bounded, rate-limited, with how much was left out."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.netset.address import format_address
from engine.netset.protocols import protocol_name

if TYPE_CHECKING:
    from engine.evaluate import PacketHeader, Reason

INBOUND = "in"
OUTBOUND = "out"

KEPT = 256
RATE_PER_S = 10.0
BURST = 20.0


@dataclass(frozen=True, slots=True)
class Denial:
    """One refused packet or cut flow."""

    at: float
    """Monotonic seconds."""
    direction: str
    """INBOUND from a peer, OUTBOUND from this host."""
    reason: Reason
    version: int
    proto: int
    src: int
    src_port: int
    dst: int
    dst_port: int
    suppressed: int
    """Denials since the one before that were counted but not logged."""

    def __str__(self) -> str:
        source = _endpoint(self.version, self.src, self.src_port)
        target = _endpoint(self.version, self.dst, self.dst_port)
        text = (
            f"denied {self.direction} {protocol_name(self.proto)} {source} -> {target}: "
            f"{self.reason.value}"
        )
        return f"{text} ({self.suppressed} more not logged)" if self.suppressed else text


def _endpoint(version: int, address: int, port: int) -> str:
    text = format_address(version, address)
    if not port:
        return text
    return f"[{text}]:{port}" if version == 6 else f"{text}:{port}"


class DenialLog:
    """Keeps the latest denials, and a queue of those to be written out."""

    def __init__(self) -> None:
        self.recent: deque[Denial] = deque(maxlen=KEPT)
        self.unwritten: deque[Denial] = deque(maxlen=KEPT)
        self.suppressed = 0
        """Denials never logged, in all."""
        self._tokens = BURST
        self._at = float("-inf")
        self._since_last = 0

    def add(self, header: PacketHeader, direction: str, reason: Reason, now: float) -> None:
        """Log a denial if the rate allows."""
        if now > self._at:
            self._tokens = min(BURST, self._tokens + (now - self._at) * RATE_PER_S)
            self._at = now
        if self._tokens < 1:
            self.suppressed += 1
            self._since_last += 1
            return
        self._tokens -= 1
        denial = Denial(
            at=now,
            direction=direction,
            reason=reason,
            version=header.version,
            proto=header.proto,
            src=header.src,
            src_port=header.src_port,
            dst=header.dst,
            dst_port=header.dst_port,
            suppressed=self._since_last,
        )
        self._since_last = 0
        self.recent.append(denial)
        self.unwritten.append(denial)
