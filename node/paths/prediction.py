"""Which port a NAT that counts will give next.

A NAT that maps each destination to another port is hopeless for whoever must guess, unless it
hands its ports out in a row, as many do: two STUN servers then see ports a small step apart, and
the mapping towards a peer, made moments later, is a few steps on. We tell the peer those ports
beside our other addresses, in the call-me-maybe that it gets anyway; it pings them as it pings
everything there, so nothing is needed of it (relay reference 5.2).

Budget: eight addresses, so at most eight more pings from the peer each round of five seconds, and
none once a path is direct. Two NATs that both count seldom meet, and random ones never do.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Final

from node.transport.endpoint import Endpoint

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["predict"]

GUESSES: Final = 8
LARGEST_STEP: Final = 256
"""Some count in the other byte order."""
_FIRST_PORT: Final = 1024
_LAST_PORT: Final = 65_535


def predict(observed: Sequence[Endpoint]) -> tuple[Endpoint, ...]:
    """Return where we may appear next, likeliest first; nothing for a NAT that does not count.

    `observed` are our addresses as different servers saw them, in the order in which these were
    asked for the first time.
    """
    if len(observed) < 2 or len({endpoint.ip for endpoint in observed}) > 1:
        return ()
    steps = {after.port - before.port for before, after in pairwise(observed)}
    if len(steps) != 1:
        return ()
    [step] = steps
    if not 0 < abs(step) <= LARGEST_STEP:
        return ()
    last = observed[-1]
    ports = (last.port + step * ahead for ahead in range(1, GUESSES + 1))
    return tuple(Endpoint(last.ip, port) for port in ports if _FIRST_PORT <= port <= _LAST_PORT)
