"""Packet filters on the wire: engine rules in JSON, in lists that have names.

A rule that is malformed inside is dropped alone; legacy fields void the whole list. Both leave
less allowed, never more (control reference 4.10).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from control.wire._codec import Codec, Json, WireError
from engine.rules import FilterRule, MalformedRuleError, origins_to_wire, with_origins

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = [
    "ALL_FILTERS",
    "BASE_FILTER",
    "FILTER",
    "WIREGUARD_ONLY_FILTER",
    "FilterOrigins",
    "combined",
    "filter_origins",
    "updated",
    "with_filter_origins",
]

BASE_FILTER: Final = "base"
"""Name of the list that the field `PacketFilter` sets too."""
FilterOrigins = list[Json]
"""By rule of one list, what `engine.rules.origins_to_wire` writes."""

ALL_FILTERS: Final = "*"
"""With null, this name deletes every list before the others of the message apply."""

WIREGUARD_ONLY_FILTER: Final = "wireguard-only"
"""Name of the list that a node holds for its plain WireGuard peers, which hold none themselves:
what it may send to them. Its destinations are theirs, so it lets nobody into the node."""


def _encode(rules: Iterable[FilterRule]) -> list[Json]:
    return [rule.to_wire(with_origins=True) for rule in rules]


def _decode(value: Json, where: str) -> tuple[FilterRule, ...]:
    if not isinstance(value, list):
        raise WireError(f"{where}: expected a list of rules")
    if any(_is_legacy(rule) for rule in value):
        return ()
    rules = []
    for rule in value:
        try:
            rules.append(FilterRule.from_wire(rule))
        except MalformedRuleError:
            continue
    return tuple(rules)


def _is_legacy(rule: Json) -> bool:
    if not isinstance(rule, dict):
        return False
    ports = rule.get("DstPorts")
    has_bits = isinstance(ports, list) and any(
        isinstance(item, dict) and item.get("Bits") is not None for item in ports
    )
    return bool(rule.get("SrcBits")) or has_bits


FILTER: Final[Codec[tuple[FilterRule, ...]]] = Codec(_encode, _decode)


def updated(
    held: Mapping[str, tuple[FilterRule, ...]],
    packet_filter: tuple[FilterRule, ...] | None,
    packet_filters: Mapping[str, tuple[FilterRule, ...] | None] | None,
) -> dict[str, tuple[FilterRule, ...]]:
    """Return the lists after one message; `held` is left as it was."""
    lists = dict(held)
    if packet_filter is not None:
        lists[BASE_FILTER] = packet_filter
    if not packet_filters:
        return lists
    if ALL_FILTERS in packet_filters and packet_filters[ALL_FILTERS] is None:
        lists.clear()
    for name, rules in packet_filters.items():
        if rules is None:
            lists.pop(name, None)
        else:
            lists[name] = rules
    return lists


def combined(lists: Mapping[str, tuple[FilterRule, ...]]) -> tuple[FilterRule, ...]:
    """Return the rules of all lists, in the order of their names."""
    return tuple(rule for name in sorted(lists) for rule in lists[name])


def filter_origins(rules: Iterable[FilterRule]) -> FilterOrigins:
    """Return the origins of a list's rules, to be sent where nothing else about them is new."""
    return [origins_to_wire(rule) for rule in rules]


def with_filter_origins(
    held: Mapping[str, tuple[FilterRule, ...]], news: Mapping[str, Json]
) -> dict[str, tuple[FilterRule, ...]]:
    """Return the lists with other origins; news that do not fit a list leave it as it was."""
    lists = dict(held)
    for name, origins in news.items():
        rules = lists.get(name)
        if rules is not None and isinstance(origins, list) and len(origins) == len(rules):
            lists[name] = tuple(map(with_origins, rules, origins))
    return lists
