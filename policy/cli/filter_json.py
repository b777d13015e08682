"""Packet filters as JSON text, fast enough for those of a whole tailnet.

The filters of ten thousand nodes repeat the same few lists of source addresses hundreds of
thousands of times, a gigabyte of text. Each list is encoded once; what is left of a rule is small
and of one shape. `FilterRule.to_wire` says what the shape is, and a test that both agree.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from engine.rules import FilterRule

__all__ = ["FilterEncoder"]

_MOST_CACHED = 32 << 20
"""Characters of encoded source lists to keep."""


class FilterEncoder:
    """Encodes packet filters."""

    def __init__(self) -> None:
        # Built once: `json.dumps` with options builds an encoder for each call.
        self.encode = json.JSONEncoder(separators=(",", ":")).encode
        # By identity, since hashing a list of addresses costs as much as encoding it. The list is
        # kept beside its text, so that no other can get its identity.
        self._sources: dict[int, tuple[tuple[str, ...], str]] = {}
        self._cached = 0

    def filter(self, rules: Iterable[FilterRule]) -> str:
        """Return the JSON array that `[rule.to_wire() for rule in rules]` stands for."""
        return f"[{','.join([self._rule(rule) for rule in rules])}]"

    def _rule(self, rule: FilterRule) -> str:
        if rule.cap_grants:
            return self.encode(rule.to_wire())
        ports = ",".join(
            [
                # Addresses, networks, ranges and `*`: nothing that JSON would escape.
                f'{{"IP":"{ip}","Ports":{{"First":{first},"Last":{last}}}}}'
                for ip, (first, last) in rule.dst_ports
            ]
        )
        protocols = f',"IPProto":{self.encode(rule.ip_proto)}' if rule.ip_proto else ""
        return f'{{"SrcIPs":{self._list(rule.src_ips)},"DstPorts":[{ports}]{protocols}}}'

    def _list(self, sources: tuple[str, ...]) -> str:
        found = self._sources.get(id(sources))
        if found is not None:
            return found[1]
        text = self.encode(sources)
        if self._cached > _MOST_CACHED:
            self._sources.clear()
            self._cached = 0
        self._sources[id(sources)] = (sources, text)
        self._cached += len(text)
        return text
