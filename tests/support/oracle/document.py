"""A policy document as plain JSON, read rule by rule (policy reference 2)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

PROTOCOLS = {
    "icmp": 1,
    "icmpv4": 1,
    "igmp": 2,
    "ipv4": 4,
    "ip-in-ip": 4,
    "tcp": 6,
    "egp": 8,
    "igp": 9,
    "udp": 17,
    "dccp": 33,
    "gre": 47,
    "esp": 50,
    "ah": 51,
    "ipv6-icmp": 58,
    "icmpv6": 58,
    "tsmp": 99,
    "sctp": 132,
    "fc": 133,
}
DEFAULT_PROTOCOLS = (6, 17, 1, 58)


@dataclass(frozen=True)
class Opening:
    """One destination with one stretch of ports, for some protocols."""

    selector: str
    protocols: tuple[int, ...]
    first: int
    last: int


@dataclass(frozen=True)
class Rule:
    """One acl or grant."""

    section: str
    position: int
    src: list[str]
    dst: list[str]
    openings: list[Opening]
    app: dict[str, Any]
    via: list[str]
    postures: list[str]


class Document:
    """A policy; names of sections and fields are read whatever their case."""

    def __init__(self, policy: dict[str, Any]) -> None:
        self._sections = _folded(policy)

    def section(self, name: str, default: Any) -> Any:
        return self._sections.get(name.lower(), default)

    @cached_property
    def rules(self) -> list[Rule]:
        """Return grants, then acls; where neither is there, the rule that allows everything."""
        acls, grants = self.section("acls", None), self.section("grants", None)
        if acls is None and grants is None:
            everything = {"src": ["*"], "dst": ["*:*"]}
            return [self._acl("default", 0, everything)]
        return [
            *(self._grant(place, entry) for place, entry in enumerate(grants or ())),
            *(self._acl("acls", place, entry) for place, entry in enumerate(acls or ())),
        ]

    def _acl(self, section: str, position: int, entry: dict[str, Any]) -> Rule:
        fields = _folded(entry)
        src = _trimmed(fields.get("src", fields.get("users", [])))
        dst = _trimmed(fields.get("dst", fields.get("ports", [])))
        protocols = _protocols(fields.get("proto", ""))
        openings = [
            Opening(host, protocols, first, last)
            for text in dst
            for host, first, last in split_destination(text)
        ]
        return Rule(section, position, src, dst, openings, {}, [], self._postures(fields))

    def _grant(self, position: int, entry: dict[str, Any]) -> Rule:
        fields = _folded(entry)
        dst = _trimmed(fields.get("dst", []))
        openings = [
            Opening(selector, _protocols(protocol), first, last)
            for selector in dst
            for protocol, _, ports in (text.rpartition(":") for text in fields.get("ip", []))
            for first, last in read_ports(ports)
        ]
        return Rule(
            "grants",
            position,
            _trimmed(fields.get("src", [])),
            dst,
            openings,
            fields.get("app", {}),
            fields.get("via", []),
            self._postures(fields),
        )

    def _postures(self, fields: dict[str, Any]) -> list[str]:
        return list(fields.get("srcposture") or self.section("defaultSrcPosture", []))


def split_destination(text: str) -> list[tuple[str, int, int]]:
    """Split `host:ports` at the last colon; one item for each stretch of ports."""
    host, _, ports = text.rpartition(":")
    if host.startswith("["):
        host = host[1:-1]
    return [(host, first, last) for first, last in read_ports(ports)]


def read_ports(text: str) -> list[tuple[int, int]]:
    if text == "*":
        return [(0, 65535)]
    stretches = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        stretches.append((int(first), int(last or first)))
    return stretches


def _protocols(text: str) -> tuple[int, ...]:
    if text in {"", "*"}:
        return DEFAULT_PROTOCOLS
    number = PROTOCOLS.get(text.lower())
    return (int(text) if number is None else number,)


def _folded(entry: dict[str, Any]) -> dict[str, Any]:
    return {name.lower(): value for name, value in entry.items()}


def _trimmed(texts: list[str]) -> list[str]:
    return [text.strip(" \t") for text in texts]
