"""Filter files: the compiled packet filter that a plain WireGuard interface enforces.

    {"rules": [{"SrcIPs": [...], "DstPorts": [...], "IPProto": [...], "Line": 12}, ...],
     "local": ["10.0.0.1", "192.168.7.0/24"]}

`rules` are in the wire's form (policy reference 4.2), with the policy's line where it is known.
`local` is what this node takes packets for; without it, the interface's own addresses. A bare list
is taken for the rules.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace

from engine.netset import AddressError, IpSet
from engine.rules import FilterRule, MalformedRuleError, Origin


class FilterFileError(Exception):
    """The file is no filter; the message says where."""


@dataclass(frozen=True, slots=True)
class FilterFile:
    """A file that was read."""

    rules: tuple[FilterRule, ...]
    local: IpSet | None


def parse_filter(text: str) -> FilterFile:
    """Read a filter file's text. Raises FilterFileError."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise FilterFileError(f"filter: not JSON: {error}") from error
    if isinstance(value, list):
        value = {"rules": value}
    if not isinstance(value, dict) or not isinstance(value.get("rules"), list):
        raise FilterFileError('filter: expected a list of rules or {"rules": [...]}')
    rules = tuple(_rule(item, index) for index, item in enumerate(value["rules"]))
    return FilterFile(rules, _local(value.get("local")))


def _rule(item: object, index: int) -> FilterRule:
    try:
        rule = FilterRule.from_wire(item)
    except MalformedRuleError as error:
        raise FilterFileError(f"rule {index}: {error}") from error
    line = item.get("Line") if isinstance(item, dict) else None
    if line is None:
        return rule
    if not isinstance(line, int) or isinstance(line, bool) or line < 0:
        raise FilterFileError(f"rule {index}: Line must be a line number")
    return replace(rule, origins=(Origin("grants", index, line),))


def _local(value: object) -> IpSet | None:
    if value is None:
        return None
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise FilterFileError("filter: local must be a list of addresses and prefixes")
    try:
        return IpSet.of_strings(value)
    except AddressError as error:
        raise FilterFileError(f"filter: local: {error}") from error
