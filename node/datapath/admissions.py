"""A log of the flows that the filter let in, with the lines of the policy that did.

Bounded and rate-limited like the log of denials. Which lines of a merged rule it was is worked out
when somebody reads an entry, never where packets pass.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.evaluate import allowing_origins
from engine.netset.protocols import protocol_name
from node.datapath.denials import KEPT, endpoint_text
from node.datapath.lograte import LogRate

if TYPE_CHECKING:
    from engine.evaluate import PacketHeader
    from engine.rules import FilterRule, Origin

__all__ = ["Admission", "AdmissionLog"]


@dataclass(frozen=True, slots=True)
class Admission:
    """One flow that a rule let in."""

    at: float
    """Monotonic seconds."""
    header: PacketHeader
    """Of its first packet."""
    rule_index: int
    rule: FilterRule
    suppressed: int
    """Flows let in since the one before that were counted but not logged."""

    @property
    def origins(self) -> tuple[Origin, ...]:
        """The policy rules that allow the flow."""
        return allowing_origins(self.rule, self.header.key.flow)

    def __str__(self) -> str:
        header = self.header
        source = endpoint_text(header.version, header.src, header.src_port)
        target = endpoint_text(header.version, header.dst, header.dst_port)
        places = ", ".join(
            f"{section}[{position}] line {line}" for section, position, line in self.origins
        )
        text = (
            f"allowed in {protocol_name(header.proto)} {source} -> {target}: "
            f"rule {self.rule_index}, {places or 'policy line not known'}"
        )
        return f"{text} ({self.suppressed} more not logged)" if self.suppressed else text


class AdmissionLog:
    """Keeps the latest admissions, and a queue of those to be written out."""

    def __init__(self) -> None:
        self.recent: deque[Admission] = deque(maxlen=KEPT)
        self.unwritten: deque[Admission] = deque(maxlen=KEPT)
        self._rate = LogRate()

    @property
    def suppressed(self) -> int:
        """Admissions never logged, in all."""
        return self._rate.suppressed

    def add(self, header: PacketHeader, rule_index: int, rule: FilterRule, now: float) -> None:
        """Log a flow that begins, if the rate allows."""
        left_out = self._rate.take(now)
        if left_out is not None:
            admission = Admission(now, header, rule_index, rule, left_out)
            self.recent.append(admission)
            self.unwritten.append(admission)
