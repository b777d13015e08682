"""A log of what was refused: bounded, rate-limited, with how much was left out."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.netset.address import format_address
from engine.netset.protocols import protocol_name
from node.datapath.lograte import LogRate

if TYPE_CHECKING:
    from engine.evaluate import PacketHeader, Reason

INBOUND = "in"
OUTBOUND = "out"

KEPT = 256


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
        source = endpoint_text(self.version, self.src, self.src_port)
        target = endpoint_text(self.version, self.dst, self.dst_port)
        text = (
            f"denied {self.direction} {protocol_name(self.proto)} {source} -> {target}: "
            f"{self.reason.value}"
        )
        return f"{text} ({self.suppressed} more not logged)" if self.suppressed else text


def endpoint_text(version: int, address: int, port: int) -> str:
    """Return an address with its port, if it has one."""
    text = format_address(version, address)
    if not port:
        return text
    return f"[{text}]:{port}" if version == 6 else f"{text}:{port}"


class DenialLog:
    """Keeps the latest denials, and a queue of those to be written out."""

    def __init__(self) -> None:
        self.recent: deque[Denial] = deque(maxlen=KEPT)
        self.unwritten: deque[Denial] = deque(maxlen=KEPT)
        self._rate = LogRate()

    @property
    def suppressed(self) -> int:
        """Denials never logged, in all."""
        return self._rate.suppressed

    def add(self, header: PacketHeader, direction: str, reason: Reason, now: float) -> None:
        """Log a denial if the rate allows."""
        left_out = self._rate.take(now)
        if left_out is None:
            return
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
            suppressed=left_out,
        )
        self.recent.append(denial)
        self.unwritten.append(denial)
