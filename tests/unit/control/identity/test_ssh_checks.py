"""SSH sessions that wait: bounded in number and age, decided once."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from control.errors import AlreadyExistsError, NotFoundError
from control.identity import ssh_checks
from control.identity.ssh_checks import SshChecks, SshPair

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

PAIR = SshPair(1, 1, 2)


class Audit:
    """A ledger that only notes."""

    def __init__(self) -> None:
        self.noted: list[str] = []

    @asynccontextmanager
    async def transaction(self, _actor: str) -> AsyncIterator[Audit]:
        yield self

    async def audit(self, action: str, _target: str, **_details: Any) -> None:
        self.noted.append(action)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def made() -> tuple[SshChecks, Clock, Audit]:
    numbers = iter(range(1 << 20))
    clock, audit = Clock(), Audit()
    entropy = lambda n: next(numbers).to_bytes(n, "big")  # noqa: E731  a source for tests
    return SshChecks(audit, entropy, clock), clock, audit  # type: ignore[arg-type]  # all it needs


async def test_decision_is_made_once_and_noted() -> None:
    checks, _, audit = made()
    check = checks.start(PAIR, "deploy")
    await checks.decide(check.id, "admin", is_approved=True)
    assert await checks.outcome(check) is True
    with pytest.raises(AlreadyExistsError):
        await checks.decide(check.id, "admin", is_approved=False)
    assert audit.noted == ["ssh-check.approve"]


async def test_approval_is_fresh_for_its_period_its_owner_and_its_destination() -> None:
    checks, clock, _ = made()
    await checks.decide(checks.start(PAIR, "x").id, "admin", is_approved=True)
    clock.now = 59
    assert checks.is_fresh(PAIR, 60)
    assert not checks.is_fresh(PAIR, 0)
    for other in (PAIR, SshPair(2, 1, 2), SshPair(1, 2, 2), SshPair(1, 1, 3)):
        assert checks.is_fresh(other, 60) is (other == PAIR)
    clock.now = 60
    assert not checks.is_fresh(PAIR, 60)


async def test_rejection_is_never_fresh() -> None:
    checks, _, _ = made()
    await checks.decide(checks.start(PAIR, "x").id, "admin", is_approved=False)
    assert not checks.is_fresh(PAIR, 3600)


async def test_session_that_ran_out_cannot_be_decided() -> None:
    checks, clock, _ = made()
    check = checks.start(PAIR, "x")
    clock.now = ssh_checks.LIFETIME_S
    assert checks.find(check.id) is None
    assert await checks.outcome(check) is None
    with pytest.raises(NotFoundError):
        await checks.decide(check.id, "admin", is_approved=True)


async def test_pair_pushes_out_its_own_oldest_only() -> None:
    checks, _, _ = made()
    other = checks.start(SshPair(9, 1, 2), "x")
    own = [checks.start(PAIR, "x") for _ in range(ssh_checks.MAX_OF_PAIR + 2)]
    assert [checks.find(check.id) is None for check in own] == [True, True] + [
        False
    ] * ssh_checks.MAX_OF_PAIR
    assert checks.find(other.id) is other
    assert await checks.outcome(own[0]) is None


async def test_number_of_sessions_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ssh_checks, "MAX_CHECKS", 3)
    checks, _, _ = made()
    started = [checks.start(SshPair(n, 1, 2), "x") for n in range(5)]
    assert [checks.find(check.id) is not None for check in started] == [False] * 2 + [True] * 3
