"""Who may hold connections open: how many, how long before they have shown what they want.

A machine without timers and sockets. A visitor is unproven until a whole request or a whole
handshake came; of those there are few, and when there are too many the oldest has to go: an honest
client is done in a moment, one that trickles is not.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Door", "Visit"]

_MAX_UNPROVEN: Final = 1024
_MAX_UNPROVEN_OF_ADDRESS: Final = 256


@dataclass(slots=True, eq=False)
class Visit:
    """One connection."""

    address: str
    is_exempt: bool
    """A trusted proxy speaks for many: limits of one address are not for it."""
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

    def enter(self, address: str, shut: Callable[[], None]) -> Visit | None:
        """Let a connection in, unproven; None where there is no room.

        May shut others, which are out at once: their `leave` need not follow, and may.
        """
        is_exempt = self._is_trusted(address)
        if len(self._inside) >= self._most:
            return None
        if not is_exempt and self._of_address.get(address, 0) >= max(1, self._most // 2):
            return None
        own = self._unproven_of.get(address)
        if own and not is_exempt and len(own) >= self._most_unproven_of_address:
            self._put_out(next(iter(own)))
        if len(self._unproven) >= self._most_unproven:
            self._put_out(next(iter(self._unproven)))
        visit = Visit(address, is_exempt, shut)
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

    def _put_out(self, visit: Visit) -> None:
        self.leave(visit)
        visit.shut()
