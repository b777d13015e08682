"""What a rule opens, destination by destination, with nothing resolved."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from policy.model.rules import Acl

if TYPE_CHECKING:
    from collections.abc import Iterator

    from policy.model.ports import Ports
    from policy.model.rules import Grant
    from policy.model.selectors import Selector

__all__ = ["Opening", "openings_of"]

# Those of `engine.rules`, which a short command can do without importing.
_DEFAULT_PROTOCOLS = (6, 17, 1, 58)


class Opening(NamedTuple):
    """One destination of a rule with one range of ports."""

    selector: Selector
    protocol: int | None
    """None for the default protocols."""
    ports: Ports

    @property
    def protocols(self) -> tuple[int, ...]:
        """IP protocol numbers, with the default spelled out."""
        return _DEFAULT_PROTOCOLS if self.protocol is None else (self.protocol,)

    def has(self, protocols: tuple[int, ...], port: int) -> bool:
        """Tell whether a port is open for any of some protocols."""
        return self.ports.first <= port <= self.ports.last and any(
            number in self.protocols for number in protocols
        )


def openings_of(rule: Grant | Acl) -> Iterator[Opening]:
    """Yield what a rule opens on the network; the application part of a grant opens nothing."""
    if isinstance(rule, Acl):
        for destination in rule.dst:
            for ports in destination.ports:
                yield Opening(destination.selector, rule.protocol, ports)
        return
    for selector in rule.dst:
        for spec in rule.ip:
            yield Opening(selector, spec.protocol, spec.ports)
