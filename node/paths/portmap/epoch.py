"""Whether a router still knows what it promised (RFC 6887 section 8.5)."""

from __future__ import annotations

from typing import Final

__all__ = ["EpochWatch"]

_SLACK_S: Final = 2.0
_DRIFT: Final = 1 / 16


class EpochWatch:
    """Compares the router's count of seconds with our own clock.

    NAT-PMP's own rule (RFC 6886 section 3.6) allows a little more drift; asking once too often
    costs one datagram, so that both protocols are held to this one.
    """

    def __init__(self) -> None:
        self._last: tuple[int, float] | None = None

    def note(self, epoch_s: int, now: float) -> bool:
        """Take an epoch; return whether mappings from before it are lost."""
        last, self._last = self._last, (epoch_s, now)
        if last is None:
            return False
        theirs, ours = epoch_s - last[0], now - last[1]
        if theirs < -1:
            return True
        return ours + _SLACK_S < theirs * (1 - _DRIFT) or theirs + _SLACK_S < ours * (1 - _DRIFT)
