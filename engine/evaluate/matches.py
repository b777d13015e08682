"""The parsed form of a packet filter, `packet_filter_matches` (policy reference 4.8)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.evaluate.clauses import CAPABILITY
from engine.netset import AddressError, parse_ranges
from engine.rules import MalformedRuleError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from engine.rules import CapGrant, FilterRule

__all__ = ["match_form", "packet_filter_matches"]


def packet_filter_matches(rules: Iterable[FilterRule]) -> list[dict[str, Any]]:
    """Return the parsed form of a filter, one object a rule, in JSON values.

    Raises MalformedRuleError where an address in it cannot be read.
    """
    return [match_form(rule) for rule in rules]


def match_form(rule: FilterRule) -> dict[str, Any]:
    """Return the parsed form of one rule, in JSON values.

    Every address string turns into prefixes where it stands. Raises MalformedRuleError where one
    cannot be read.
    """
    try:
        return {
            "IPProto": list(rule.protocols),
            "Srcs": [
                prefix
                for text in rule.src_ips
                if not text.startswith(CAPABILITY)
                for prefix in _prefixes(text)
            ],
            "SrcCaps": _source_capabilities(rule) or None,
            "Dsts": [
                {"Net": prefix, "Ports": {"First": ports.first, "Last": ports.last}}
                for text, ports in rule.dst_ports
                for prefix in _prefixes(text)
            ],
            "Caps": [cap for grant in rule.cap_grants for cap in _cap_matches(grant)],
        }
    except AddressError as error:
        raise MalformedRuleError(f"filter rule: {error}") from error


def _prefixes(text: str) -> Iterator[str]:
    for found in parse_ranges(text):
        yield from map(str, found.prefixes())


def _source_capabilities(rule: FilterRule) -> list[str]:
    return [text.removeprefix(CAPABILITY) for text in rule.src_ips if text.startswith(CAPABILITY)]


def _cap_matches(grant: CapGrant) -> Iterator[dict[str, Any]]:
    for text in grant.dsts:
        for prefix in _prefixes(text):
            for name, values in grant.cap_map.items():
                yield {"Dst": prefix, "Cap": name, "Values": values}
