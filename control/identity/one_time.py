"""Values behind unguessable tokens that work once: bounded in number and age."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from control.keys import Entropy

__all__ = ["LIFETIME_S", "MAX_ENTRIES", "MAX_OF_OWNER", "OneTime"]

LIFETIME_S: Final = 15 * 60.0
MAX_ENTRIES: Final = 8192
MAX_OF_OWNER: Final = 8

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Entry(Generic[T]):
    owner: Hashable
    ends_at: float
    value: T


class OneTime(Generic[T]):
    """Tokens of 256 random bits.

    Entries are found by the hash of their token, so that how long a look-up takes says nothing
    about a token that is there.
    """

    def __init__(self, entropy: Entropy, clock: Callable[[], float]) -> None:
        self._entropy = entropy
        self._clock = clock
        self._entries: OrderedDict[bytes, _Entry[T]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def put(self, owner: Hashable, value: T) -> str:
        """Keep a value for 15 minutes and return its token.

        An owner's oldest goes when they have more than 8: nobody pushes out what others keep.
        """
        self._drop_old()
        own = [name for name, entry in self._entries.items() if entry.owner == owner]
        for name in own[: max(0, len(own) - MAX_OF_OWNER + 1)]:
            del self._entries[name]
        token = self._entropy(32).hex()
        self._entries[_name(token)] = _Entry(owner, self._clock() + LIFETIME_S, value)
        while len(self._entries) > MAX_ENTRIES:
            self._entries.popitem(last=False)
        return token

    def take(self, token: str) -> T | None:
        """Return the value of a token and forget it; None where there is none any more."""
        entry = self._entries.pop(_name(token), None)
        if entry is None or entry.ends_at <= self._clock():
            return None
        return entry.value

    def _drop_old(self) -> None:
        now = self._clock()
        while self._entries and next(iter(self._entries.values())).ends_at <= now:
            self._entries.popitem(last=False)


def _name(token: str) -> bytes:
    return hashlib.sha256(token.encode(errors="surrogateescape")).digest()
