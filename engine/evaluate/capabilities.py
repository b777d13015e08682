"""What a peer may do to a node's applications: the answer to `whois` (policy reference 7.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from engine.evaluate.clauses import source_set
from engine.netset import AddressError, IpSet
from engine.rules import MalformedRuleError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from engine.netset import Address
    from engine.rules import FilterRule

__all__ = ["PeerCapabilities"]


class _Grant(NamedTuple):
    sources: IpSet
    destinations: IpSet
    cap_map: Mapping[str, Any]


class PeerCapabilities:
    """Application capabilities in one node's packet filter, read once."""

    __slots__ = ("_grants",)

    def __init__(self, rules: Iterable[FilterRule]) -> None:
        """Read the grants of a filter.

        Raises MalformedRuleError where an address in one cannot be read.
        """
        self._grants = tuple(_grants(rules))

    def granted(self, src: Address, dst: Address) -> dict[str, list[Any] | None] | None:
        """Return what a peer at `src` is granted on this node at `dst`, of the same IP version.

        Values of one capability granted several times are joined in rule order. A capability that
        was only ever granted without values has None; None in all where nothing is granted.
        """
        found: dict[str, list[Any] | None] = {}
        for grant in self._grants:
            if src in grant.sources and dst in grant.destinations:
                for name, values in grant.cap_map.items():
                    known = found.get(name)
                    found[name] = known if values is None else [*(known or ()), *values]
        return found or None


def _grants(rules: Iterable[FilterRule]) -> Iterator[_Grant]:
    for index, rule in enumerate(rules):
        try:
            sources = source_set(rule.src_ips) if rule.cap_grants else IpSet()
            for grant in rule.cap_grants:
                yield _Grant(sources, IpSet.of_strings(grant.dsts), grant.cap_map)
        except AddressError as error:
            raise MalformedRuleError(f"filter rule {index}: {error}") from error
