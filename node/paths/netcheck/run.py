"""One netcheck from first question to report, without a socket or a clock.

The driver resolves `Ask` to an address and sends it from the very socket that carries WireGuard:
the mapping of any other socket would be somebody else's news.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from node.transport.endpoint import Endpoint
from relay.stun import TRANSACTION_BYTES, NotStunError, encode_request, parse_response

if TYPE_CHECKING:
    from collections.abc import Iterable

    from control.keys import Entropy
    from node.paths.netcheck.plan import Probe
    from node.paths.netcheck.report import Report

__all__ = ["Ask", "FallbackWanted", "Finished", "NetcheckRun"]

STUN_PHASE_S: Final = 3.0
REPORT_S: Final = 5.0
ENOUGH_REGIONS: Final = 3


@dataclass(frozen=True, slots=True)
class Ask:
    """Send this datagram to a relay node over one family, then say `sent` or `not_sent`."""

    probe: Probe
    datagram: bytes
    transaction: bytes


@dataclass(frozen=True, slots=True)
class FallbackWanted:
    """UDP told nothing: measure these regions by HTTPS and ICMP."""

    regions: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Finished:
    """The report is complete, or out of time."""

    report: Report


RunEvent = Ask | FallbackWanted | Finished


@dataclass(slots=True)
class _Open:
    probe: Probe
    sent_at: float


class NetcheckRun:
    """Asks what the plan says as long as an answer can still tell something new."""

    def __init__(
        self,
        plan: Iterable[Probe],
        report: Report,
        entropy: Entropy,
        *,
        is_full: bool,
        now: float,
    ) -> None:
        self._pending = deque(sorted(plan))
        self._regions = tuple(sorted({probe.region for probe in self._pending}))
        self._report = report
        self._entropy = entropy
        self._patience = 2.0 if is_full else 1.0
        self._started_at = now
        self._open: dict[bytes, _Open] = {}
        self._enough_at: float | None = None
        self._fallback_asked = False
        self._finished = False
        self._events: deque[RunEvent] = deque()

    @property
    def is_finished(self) -> bool:
        """Whether the report was handed over."""
        return self._finished

    def next_event(self) -> RunEvent | None:
        """Return what to do or know next, None for nothing."""
        return self._events.popleft() if self._events else None

    def deadline(self) -> float | None:
        """Return when `on_deadline` has something to do."""
        if self._finished:
            return None
        due = [self._started_at + (REPORT_S if self._fallback_asked else STUN_PHASE_S)]
        if self._pending:
            due.append(self._started_at + self._pending[0].delay_s)
        if self._enough_at is not None:
            due.append(self._enough_at)
        return min(due)

    def on_deadline(self, now: float) -> None:
        """Ask what is due; end the run when its time is up."""
        if self._finished:
            return
        while self._pending and now >= self._started_at + self._pending[0].delay_s:
            probe = self._pending.popleft()
            if self._is_useful(probe):
                self._ask(probe, now)
        elapsed = now - self._started_at
        has_all_it_needs = self._enough_at is not None and now >= self._enough_at
        has_some = elapsed >= STUN_PHASE_S and self._report.has_udp
        if has_all_it_needs or has_some or elapsed >= REPORT_S:
            self._finish()
        elif elapsed >= STUN_PHASE_S and not self._fallback_asked:
            self._fallback_asked = True
            self._events.append(FallbackWanted(self._regions))

    def receive(self, datagram: bytes, now: float) -> bool:
        """Take a STUN datagram; return whether it answered one of our questions."""
        try:
            binding = parse_response(datagram)
        except NotStunError:
            return False
        asked = self._open.pop(binding.transaction, None)
        if asked is None or self._finished:
            return False
        latency_ns = max(1, round((now - asked.sent_at) * 1e9))
        mapped = Endpoint(binding.address, binding.port)
        self._report.add_binding(
            asked.probe.region, asked.probe.node_name, mapped, latency_ns, asked.sent_at
        )
        self._judge(now)
        return True

    def sent(self, asked: Ask, now: float) -> None:
        """Take it that a question has left: until then its relay may have been looked up."""
        if asked.transaction in self._open:
            self._open[asked.transaction].sent_at = now

    def not_sent(self, asked: Ask, now: float) -> None:
        """Take it that a question cannot be asked: nobody waits for its answer."""
        self._open.pop(asked.transaction, None)
        if self._report.has_udp and not self._finished:
            self._judge(now)

    def fallback_done(self) -> None:
        """End the run: the fallback measured what it could."""
        self._finish()

    def _ask(self, probe: Probe, now: float) -> None:
        transaction = self._entropy(TRANSACTION_BYTES)
        self._open[transaction] = _Open(probe, now)
        self._events.append(Ask(probe, encode_request(transaction), transaction))

    def _is_useful(self, probe: Probe) -> bool:
        report = self._report
        if probe.region not in report.latency_ns:
            return True
        if probe.is_ipv6:
            return not report.has_ipv6
        return report.mapping_varies is None

    def _judge(self, now: float) -> None:
        """Once enough regions answered, wait only as long as a slower one could still matter."""
        report = self._report
        useful = [probe for probe in self._pending if self._is_useful(probe)]
        waiting = any(self._is_useful(question.probe) for question in self._open.values())
        if not useful and not waiting:
            self._finish()
        elif self._enough_at is None and len(report.latency_ns) >= ENOUGH_REGIONS:
            slowest_s = max(report.latency_ns.values()) / 1e9
            self._enough_at = now + slowest_s * self._patience

    def _finish(self) -> None:
        if not self._finished:
            self._finished = True
            self._pending.clear()
            self._open.clear()
            self._events.append(Finished(self._report))
