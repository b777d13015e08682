"""A packet filter as the gate asks it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.evaluate import FilterEvaluator, PacketFilter, Reason
from engine.evaluate import Flow as Question
from engine.netset.constants import ANY_SET, EMPTY_SET

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.evaluate import PacketHeader, Verdict
    from engine.netset import IpSet
    from engine.rules import FilterRule


__all__ = ["DENY_ALL", "Deputy", "InstalledFilter"]


@dataclass(frozen=True, slots=True)
class Deputy:
    """The filter that this node holds for peers that hold none: plain WireGuard devices."""

    rules: tuple[FilterRule, ...]
    """What those peers take, of what this node sends."""
    addresses: IpSet
    """The peers' own."""


class InstalledFilter:
    """A packet filter that was read and indexed: swapped in whole, never changed."""

    def __init__(
        self, rules: Sequence[FilterRule], local: IpSet = ANY_SET, deputy: Deputy | None = None
    ) -> None:
        """Index the rules; `local` is what this node takes packets for.

        Raises MalformedRuleError.
        """
        self._evaluator = FilterEvaluator(rules)
        self._packets = PacketFilter(self._evaluator, local)
        self._deputy = None if deputy is None else InstalledFilter(deputy.rules, deputy.addresses)
        self._guarded = EMPTY_SET if deputy is None else deputy.addresses

    @property
    def rules(self) -> tuple[FilterRule, ...]:
        """The rules, in order."""
        return self._evaluator.rules

    def outbound(self, header: PacketHeader) -> Verdict:
        """Judge a packet of this host that belongs to no tracked flow.

        The receiver enforces the policy, unless it is one that this node holds a filter for.
        """
        verdict = self._packets.outbound(header)
        guarded = self._guarded.contains(header.version, header.dst)
        if self._deputy is None or not guarded or not verdict.allowed:
            return verdict
        return self._deputy.inbound(header)

    def inbound(self, header: PacketHeader) -> Verdict:
        """Judge a packet that belongs to no tracked flow; TCP always like a SYN."""
        verdict = self._packets.inbound(header)
        if verdict.reason is Reason.ESTABLISHED:
            return self._evaluator.decide(
                Question(header.version, header.src, header.dst, header.proto, header.dst_port)
            )
        return verdict


DENY_ALL = InstalledFilter(())
