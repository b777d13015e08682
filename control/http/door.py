"""Who may hold connections open: how many, how long before they have shown what they want.

A machine without timers and sockets. A visitor is unproven until a whole request or a whole
handshake came; of those there are few. When there are too many, those go that had `GRACE_S` and
did nothing with it: an honest client is done in a moment, one that trickles is not. Whoever is in
the middle of it stays, and who comes is turned away instead, which costs next to nothing: when a
server starts again and everybody comes at once, each that is let in gets through.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["GRACE_S", "Door", "Visit"]

_MAX_UNPROVEN: Final = 1024
_MAX_UNPROVEN_OF_ADDRESS: Final = 256
GRACE_S: Final = 3.0
"""How long a connection may be unproven whatever the press: a few round trips of a slow link."""


@dataclass(slots=True, eq=False)
class Visit:
    """One connection."""

    address: str
    is_exempt: bool
    """A trusted proxy speaks for many: limits of one address are not for it."""
    came_at: float
    """In seconds, by the clock of whoever asks the door."""
    shut: Callable[[], None] = field(repr=False)
    """Ends the connection at once."""


class Door:
    """Counts connections, of each address and altogether."""

    def __init__(
        self,
        *,
        most: int,
        is_trusted: Callable[[str], bool],
        most_unproven: int = _MAX_UNPROVEN,
        most_unproven_of_address: int = _MAX_UNPROVEN_OF_ADDRESS,
    ) -> None:
        """At most half of `most` connections come from one address."""
        self._most = most
        self._is_trusted = is_trusted
        self._most_unproven = most_unproven
        self._most_unproven_of_address = most_unproven_of_address
        self._inside: dict[Visit, bool] = {}
        self._of_address: dict[str, int] = {}
        self._unproven: OrderedDict[Visit, bool] = OrderedDict()
        self._unproven_of: dict[str, OrderedDict[Visit, bool]] = {}

    def __len__(self) -> int:
        return len(self._inside)

    @property
    def unproven(self) -> int:
        """How many connections have not shown yet what they want."""
        return len(self._unproven)

    def enter(self, address: str, shut: Callable[[], None], now: float) -> Visit | None:
        """Let a connection in, unproven; None where there is no room.

        May shut another, which is out at once: its `leave` need not follow, and may.
        """
        is_exempt = self._is_trusted(address)
        if len(self._inside) >= self._most:
            return None
        if not is_exempt and self._of_address.get(address, 0) >= max(1, self._most // 2):
            return None
        own = len(self._unproven_of.get(address, ()))
        if not is_exempt and own >= self._most_unproven_of_address:
            if not self._put_out_idle(self._unproven_of[address], now):
                return None
        elif len(self._unproven) >= self._most_unproven and not self._make_room(own, now):
            return None
        visit = Visit(address, is_exempt, now, shut)
        self._inside[visit] = True
        self._of_address[address] = self._of_address.get(address, 0) + 1
        self._unproven[visit] = True
        self._unproven_of.setdefault(address, OrderedDict())[visit] = True
        return visit

    def prove(self, visit: Visit) -> None:
        """Note that a connection has shown what it wants."""
        if not self._unproven.pop(visit, False):
            return
        own = self._unproven_of[visit.address]
        del own[visit]
        if not own:
            del self._unproven_of[visit.address]

    def leave(self, visit: Visit) -> None:
        """Note that a connection has ended."""
        self.prove(visit)
        if not self._inside.pop(visit, False):
            return
        left = self._of_address[visit.address] - 1
        if left:
            self._of_address[visit.address] = left
        else:
            del self._of_address[visit.address]

    def _make_room(self, own: int, now: float) -> bool:
        """Put one unproven connection out for somebody whose address has `own` of them."""
        if self._put_out_idle(self._unproven, now):
            return True
        # A few addresses must not take all the room from everybody else.
        crowd = max(self._unproven_of.values(), key=len)
        if len(crowd) <= own + 1:
            return False
        self._put_out(next(iter(crowd)))
        return True

    def _put_out_idle(self, unproven: Iterable[Visit], now: float) -> bool:
        """Put the first of them out, the oldest, if it had its time."""
        oldest = next(iter(unproven))
        if now - oldest.came_at < GRACE_S:
            return False
        self._put_out(oldest)
        return True

    def _put_out(self, visit: Visit) -> None:
        self.leave(visit)
        visit.shut()
