"""Counters of the packet path: by rule, by drop reason, by direction.

Plain attributes, since the hot loop adds to them; `datapath.metrics` names them for Prometheus.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.evaluate import Reason, Verdict
    from engine.rules import FilterRule, Origin


class RuleCounters:
    """What one filter rule let through, both directions of its flows together."""

    __slots__ = ("bytes", "flows", "index", "packets", "rule")

    def __init__(self, index: int, rule: FilterRule | None) -> None:
        self.index = index
        """Position in the filter; -1 for flows that need no rule."""
        self.rule = rule
        self.packets = 0
        self.bytes = 0
        self.flows = 0

    @property
    def policy_line(self) -> int:
        """Line in the policy of the first rule that this one was compiled from; 0 if unknown."""
        return self.origins[0].line if self.origins else 0

    @property
    def origins(self) -> tuple[Origin, ...]:
        """Policy rules that this one was compiled from; empty where that is not known."""
        return () if self.rule is None else self.rule.origins


class Counters:
    """All counters of one data path."""

    def __init__(self) -> None:
        self.rules: list[RuleCounters] = []
        self.unruled = RuleCounters(-1, None)
        """Flows that this node began, replies, and everything while no filter is installed."""
        self.drops: Counter[tuple[str, Reason]] = Counter()
        """Packets dropped, by direction and reason."""
        self.filters_installed = 0
        self.filters_refused = 0
        self.flows_revoked = 0
        self.flows_evicted = 0
        self.resets_sent = 0
        self.segments_out = 0
        self.segments_in = 0
        self.malformed_out = 0
        self.no_route = 0
        self.malformed_in = 0
        self.send_errors = 0
        self.tun_write_errors = 0

    def of(self, verdict: Verdict) -> RuleCounters | None:
        """Return the counters of the rule that allowed, or None for a refusal."""
        if not verdict.allowed or verdict.rule_index is None:
            return None
        return self.rules[verdict.rule_index]

    def install_rules(self, rules: Sequence[FilterRule]) -> None:
        """Start counting for a new filter; rules that stay keep their counts.

        Also takes the same filter with other origins.
        """
        known: dict[object, list[RuleCounters]] = {}
        for counter in self.rules:
            if counter.rule is not None:
                known.setdefault(_identity(counter.rule), []).append(counter)
        fresh: list[RuleCounters] = []
        for index, rule in enumerate(rules):
            kept = known.get(_identity(rule))
            counter = kept.pop(0) if kept else RuleCounters(index, rule)
            counter.index, counter.rule = index, rule
            fresh.append(counter)
        self.rules = fresh


def _identity(rule: FilterRule) -> object:
    return rule.src_ips, rule.dst_ports, rule.ip_proto
