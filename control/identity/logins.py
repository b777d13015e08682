"""Logins that wait for a person: made by a node, decided in a browser or on the command line."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from control.keys import Entropy, MachinePublic
    from control.wire import RegisterRequest

__all__ = ["Login", "Logins", "Outcome"]

LOGIN_ID: Final = r"hskey-authreq-[0-9a-f]{24}"
"""Pattern of IDs."""
LIFETIME_S: Final = 15 * 60.0
MAX_LOGINS: Final = 1024
MAX_OF_MACHINE: Final = 4


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a login: a node, or a text that says why not."""

    node_id: int | None = None
    error: str = ""


@dataclass(slots=True, eq=False)
class Login:
    """One request that waits. It is decided once, whoever decides first."""

    id: str
    machine: MachinePublic
    request: RegisterRequest
    ends_at: float
    """Seconds of the injected clock."""
    version: int
    decided: asyncio.Future[Outcome] = field(repr=False)
    is_being_decided: bool = False
    """Somebody is carrying out a decision already."""

    def decide(self, outcome: Outcome) -> bool:
        """Wake everybody who waits; False if it was decided before."""
        if self.decided.done():
            return False
        self.decided.set_result(outcome)
        return True


class Logins:
    """All logins that wait, oldest first, bounded in number and age.

    They live in memory only: after a restart a node that follows up gets a new URL.
    """

    def __init__(self, entropy: Entropy, clock: Callable[[], float]) -> None:
        self._entropy = entropy
        self._clock = clock
        self._waiting: OrderedDict[str, Login] = OrderedDict()

    def __len__(self) -> int:
        return len(self._waiting)

    def start(
        self, machine: MachinePublic, request: RegisterRequest, version: int, *, login_id: str = ""
    ) -> Login:
        """Make a login with an unguessable ID, unless an administrator gives one (`LOGIN_ID`).

        The oldest goes when there are too many.
        """
        self._drop_old()
        # Nobody may push other people's logins out by starting more and more of their own.
        own = [login for login in self._waiting.values() if login.machine == machine]
        for stale in own[: max(0, len(own) - MAX_OF_MACHINE + 1)]:
            self._forget(stale)
        login = Login(
            id=login_id or f"hskey-authreq-{self._entropy(12).hex()}",
            machine=machine,
            request=request,
            ends_at=self._clock() + LIFETIME_S,
            version=version,
            decided=asyncio.get_running_loop().create_future(),
        )
        self._waiting[login.id] = login
        while len(self._waiting) > MAX_LOGINS:
            self._forget(next(iter(self._waiting.values())))
        return login

    def find(self, login_id: str) -> Login | None:
        """Return a login that has not run out, decided or not."""
        login = self._waiting.get(login_id)
        if login is None or login.ends_at <= self._clock():
            return None
        return login

    def seconds_left(self, login: Login) -> float:
        """Return how long a login may still wait, at least 0."""
        return max(0.0, login.ends_at - self._clock())

    def _drop_old(self) -> None:
        now = self._clock()
        for login in list(self._waiting.values()):
            if login.ends_at > now:
                break
            self._forget(login)

    def _forget(self, login: Login) -> None:
        self._waiting.pop(login.id, None)
        if not login.decided.done():
            login.decided.cancel()
