"""`autogroup:self`: which of a user's own devices may reach that user's devices (3.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from policy.model.selectors import Selector, Wildcard

if TYPE_CHECKING:
    from engine.resolve.selectors import Resolver, Strings

__all__ = ["SelfSources"]


class SelfSources:
    """Works out, once for each rule and user, what `autogroup:self` means as a source."""

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver
        self._reaching: dict[tuple[tuple[Selector, ...], Strings], frozenset[int] | None] = {}
        self._of_user: dict[tuple[tuple[Selector, ...], Strings, str], tuple[int, ...]] = {}

    def nodes(self, src: tuple[Selector, ...], postures: Strings, login: str) -> tuple[int, ...]:
        """Return the user's untagged devices that some source selectors name."""
        key = (src, postures, login)
        found = self._of_user.get(key)
        if found is None:
            own = self._resolver.directory.by_user.get(login, ())
            allowed = self._allowed(src, postures)
            found = tuple(i for i in own if allowed is None or i in allowed)
            self._of_user[key] = found
        return found

    def _allowed(self, src: tuple[Selector, ...], postures: Strings) -> frozenset[int] | None:
        """Return the devices that the selectors name; None where all devices do."""
        key = (src, postures)
        if key not in self._reaching:
            everyone = any(isinstance(selector, Wildcard) for selector in src)
            if everyone and not postures:
                self._reaching[key] = None
            else:
                self._reaching[key] = frozenset(
                    index
                    for selector in src
                    for index in self._resolver.nodes(selector)
                    if self._resolver.passes(index, postures)
                )
        return self._reaching[key]
