"""A packet filter as the gate asks it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.evaluate import FilterEvaluator, PacketFilter, Reason
from engine.evaluate import Flow as Question
from engine.netset.constants import ANY_SET

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.evaluate import PacketHeader, Verdict
    from engine.netset import IpSet
    from engine.rules import FilterRule


class InstalledFilter:
    """A packet filter that was read and indexed: swapped in whole, never changed."""

    def __init__(self, rules: Sequence[FilterRule], local: IpSet = ANY_SET) -> None:
        """Index the rules; `local` is what this node takes packets for.

        Raises MalformedRuleError.
        """
        self._evaluator = FilterEvaluator(rules)
        self._packets = PacketFilter(self._evaluator, local)
        self.outbound = self._packets.outbound

    @property
    def rules(self) -> tuple[FilterRule, ...]:
        """The rules, in order."""
        return self._evaluator.rules

    def inbound(self, header: PacketHeader) -> Verdict:
        """Judge a packet that belongs to no tracked flow; TCP always like a SYN."""
        verdict = self._packets.inbound(header)
        if verdict.reason is Reason.ESTABLISHED:
            return self._evaluator.decide(
                Question(header.version, header.src, header.dst, header.proto, header.dst_port)
            )
        return verdict


DENY_ALL = InstalledFilter(())
