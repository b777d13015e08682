"""Replay window: each counter is accepted once, and late ones only within the window.

The window is one Python integer used as a bit field, bit `n` standing for `highest - n`. Advancing
it by a burst is one shift, whatever the burst's size.
"""

from __future__ import annotations

from node.wireguard.constants import REJECT_AFTER_MESSAGES, REPLAY_WINDOW

_MASK = (1 << (REPLAY_WINDOW + 1)) - 1


class ReplayWindow:
    """Remembers which counters of one session were seen. Call it after the tag verified."""

    __slots__ = ("_highest", "_seen")

    def __init__(self) -> None:
        self._highest = 0
        self._seen = 0

    def accept(self, counter: int) -> bool:
        """Mark `counter` as seen; False when it is a replay, too old or out of range."""
        if counter >= REJECT_AFTER_MESSAGES:
            return False
        behind = self._highest - counter
        if behind < 0:
            # A jump past the window clears it: no need to shift by billions of bits.
            self._seen = ((self._seen << -behind) & _MASK) | 1 if -behind <= REPLAY_WINDOW else 1
            self._highest = counter
            return True
        if behind > REPLAY_WINDOW or (self._seen >> behind) & 1:
            return False
        self._seen |= 1 << behind
        return True

    def accept_run(self, first: int, count: int) -> bool:
        """Mark `count` consecutive counters at once if all are new and above the window's head.

        False leaves the window as it was: ask again with `accept`, one by one.
        """
        ahead = first - self._highest
        last = first + count - 1
        if ahead <= 0 or last >= REJECT_AFTER_MESSAGES or ahead + count > REPLAY_WINDOW:
            return False
        self._seen = ((self._seen << (ahead + count - 1)) & _MASK) | ((1 << count) - 1)
        self._highest = last
        return True
