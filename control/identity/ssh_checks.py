"""SSH sessions that wait until the person at the other end has shown who they are.

They live in memory only, like logins of nodes: after a restart a session is given a new ID, and
what was approved before has to be approved again.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from control.errors import AlreadyExistsError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable

    from control.keys import Entropy
    from control.registry.ledger import Ledger

__all__ = ["SshCheck", "SshChecks", "SshPair"]

LIFETIME_S: Final = 15 * 60.0
MAX_CHECKS: Final = 1024
MAX_OF_PAIR: Final = 4


@dataclass(frozen=True, slots=True)
class SshPair:
    """Who connects to which node; another owner of the source is another pair."""

    source: int
    owner: int
    """Number of the user who owns the source."""
    destination: int


@dataclass(slots=True, eq=False)
class SshCheck:
    """One session that waits; it is decided once."""

    id: str
    pair: SshPair
    account: str
    ends_at: float
    """Seconds of the injected clock."""
    decided: asyncio.Future[bool] = field(repr=False)
    """Whether it was approved."""


class SshChecks:
    """Sessions that wait, and pairs approved lately; both bounded in number and age."""

    def __init__(self, ledger: Ledger, entropy: Entropy, clock: Callable[[], float]) -> None:
        self._ledger = ledger
        self._entropy = entropy
        self._clock = clock
        self._waiting: OrderedDict[str, SshCheck] = OrderedDict()
        self._approved: OrderedDict[SshPair, float] = OrderedDict()

    def start(self, pair: SshPair, account: str) -> SshCheck:
        """Let a session wait, under an unguessable ID; a pair's oldest goes when it has many."""
        self._drop_old()
        own = [check for check in self._waiting.values() if check.pair == pair]
        for stale in own[: max(0, len(own) - MAX_OF_PAIR + 1)]:
            self._forget(stale)
        check = SshCheck(
            id=f"hskey-authreq-{self._entropy(12).hex()}",
            pair=pair,
            account=account,
            ends_at=self._clock() + LIFETIME_S,
            decided=asyncio.get_running_loop().create_future(),
        )
        self._waiting[check.id] = check
        while len(self._waiting) > MAX_CHECKS:
            self._forget(next(iter(self._waiting.values())))
        return check

    def find(self, check_id: str) -> SshCheck | None:
        """Return a session that has not run out, decided or not."""
        check = self._waiting.get(check_id)
        return None if check is None or check.ends_at <= self._clock() else check

    async def outcome(self, check: SshCheck) -> bool | None:
        """Wait for the decision; None where nobody made one in time."""
        try:
            async with asyncio.timeout(max(0.0, check.ends_at - self._clock())):
                await asyncio.wait([check.decided])
        except TimeoutError:
            return None
        return None if check.decided.cancelled() else check.decided.result()

    async def decide(self, check_id: str, actor: str, *, is_approved: bool) -> None:
        """Approve or reject; raises NotFoundError, or AlreadyExistsError for the second time."""
        check = self.find(check_id)
        if check is None:
            raise NotFoundError("no login with this ID waits; it may have run out: connect again")
        if check.decided.done():
            raise AlreadyExistsError("this session has been decided already")
        action = "ssh-check.approve" if is_approved else "ssh-check.reject"
        async with self._ledger.transaction(actor) as transaction:
            await transaction.audit(
                action,
                f"node:{check.pair.destination}",
                source=check.pair.source,
                account=check.account,
            )
        if check.decided.done():
            raise AlreadyExistsError("this session has been decided already")
        check.decided.set_result(is_approved)
        if is_approved:
            self._approved[check.pair] = self._clock()
            self._approved.move_to_end(check.pair)
            if len(self._approved) > MAX_CHECKS:
                self._approved.popitem(last=False)

    def is_fresh(self, pair: SshPair, period_s: float) -> bool:
        """Return whether a pair was approved within a period; never for a period of 0."""
        approved_at = self._approved.get(pair)
        return approved_at is not None and self._clock() - approved_at < period_s

    def _drop_old(self) -> None:
        now = self._clock()
        for check in list(self._waiting.values()):
            if check.ends_at > now:
                break
            self._forget(check)

    def _forget(self, check: SshCheck) -> None:
        self._waiting.pop(check.id, None)
        if not check.decided.done():
            check.decided.cancel()
