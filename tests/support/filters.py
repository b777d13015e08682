"""Random packet filters, and flows and packets that sit on their boundaries.

Everything draws from a `random.Random`, so that a bulk run can seed its own and a property can pass
the one of `hypothesis.strategies.randoms`, which shrinks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from engine.evaluate.flow import Flow, FlowKey, PacketHeader
from engine.netset import BITS, TOP, parse_ranges
from engine.netset.constants import INTERNET, WILDCARD_SOURCES
from engine.rules import ALL_PORTS, CapGrant, FilterRule, NetPortRange, Origin, PortRange

if TYPE_CHECKING:
    from random import Random

HOSTS = (
    *(f"100.64.0.{octet}" for octet in (0, 8, 9, 10, 255)),
    *(f"fd7a:115c:a1e0::{group:x}" for group in (0, 8, 9, 10, 0xFFFF)),
    "10.9.3.4",
    "203.0.113.7",
    "2001:db8::7",
    "0.0.0.0",
    "255.255.255.255",
    "::",
    "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
    "::ffff:100.64.0.9",
    "169.254.169.254",
)
BLOCKS = (
    *WILDCARD_SOURCES,
    *INTERNET,
    "100.64.0.8/31",
    "100.64.0.0/24",
    "100.64.0.8-100.64.0.10",
    "10.9.0.0/16",
    "10.0.0.0/8",
    "0.0.0.0/0",
    "0.0.0.0/1",
    "::/0",
    "fd7a:115c:a1e0::8-fd7a:115c:a1e0::a",
    "fd7a:115c:a1e0:b1a::/64",
    "fd00::/8",
    "fe80::/10",
    "169.254.0.0/16",
    "224.0.0.0/4",
    "ff00::/8",
)
PROTOCOLS = (6, 17, 132, 1, 58, 99, 47, 2, 4, 0, 255)
PORTS = (0, 1, 22, 80, 443, 8080, 65534, 65535)
TCP_FLAGS = (0x02, 0x12, 0x10, 0x18, 0x01, 0x04, 0x14, 0x00, 0xC2, 0xFF)


class PacketCase(NamedTuple):
    """One packet and all that its verdict depends on besides the rules; sets are wire strings."""

    header: PacketHeader
    local: tuple[str, ...]
    replies: frozenset[FlowKey]
    sender: tuple[str, ...] | None
    link_local_allowed: tuple[str, ...]


def random_filter(rng: Random, most_rules: int = 8) -> list[FilterRule]:
    """Return a filter whose rules overlap a lot."""
    return [_rule(rng, position) for position in range(rng.randint(0, most_rules))]


def boundary_flow(rng: Random, rules: list[FilterRule]) -> Flow:
    """Return a flow from, to and on values at or next to the ends of what the rules name."""
    # The source decides the version; a rule's own pair is tried first, lest nothing ever match.
    rule = rng.choice(rules) if rules and rng.random() < 0.85 else None
    sources = [text for text in rule.src_ips if text[:4] != "cap:"] if rule else []
    entry = rng.choice(rule.dst_ports) if rule and rule.dst_ports else None
    version, dst = _near(rng, entry.ip if entry else rng.choice(HOSTS + BLOCKS))
    src = _near_of_version(rng, sources or list(HOSTS), version)
    proto = rng.choice(rule.protocols if rule and rng.random() < 0.8 else PROTOCOLS)
    port = _near_port(rng, entry.ports if entry else ALL_PORTS)
    return Flow(version, src, dst, proto, port)


def boundary_packet(rng: Random, rules: list[FilterRule]) -> PacketCase:
    """Return a packet of a boundary flow, which may be a reply, spoofed or not for this node."""
    version, src, dst, proto, dst_port = boundary_flow(rng, rules)
    icmp_type = rng.choice((0, 1, 2, 3, 4, 5, 8, 11, 12, 13, 128, 129, 130, 255))
    src_port, tcp_flags = rng.choice(PORTS), rng.choice(TCP_FLAGS)
    header = PacketHeader(version, src, dst, proto, src_port, dst_port, tcp_flags, icmp_type)
    began = [header.key, header.key.reversed(), header.key.reversed()._replace(src_port=7)]
    return PacketCase(
        header,
        local=("*",) if rng.random() < 0.7 else _some(rng, (*HOSTS, *BLOCKS), 3),
        replies=frozenset(rng.sample(began, rng.randint(0, 2))),
        sender=rng.choice((None, None, None, ("*",), _some(rng, (*HOSTS, *BLOCKS), 2))),
        link_local_allowed=rng.choice(((), (), ("169.254.0.0/17",), ("fe80::/16",))),
    )


def _rule(rng: Random, position: int) -> FilterRule:
    sources = tuple(sorted(_some(rng, (*HOSTS, *HOSTS, *BLOCKS, "*", "cap:x"), 6)))
    origin = (Origin("acls", position, position + 1),)
    if rng.random() < 0.1:
        grants = (CapGrant(("100.64.0.9/32",), {"corp.test/cap/x": []}),)
        return FilterRule(sources, cap_grants=grants, origins=origin)
    entries = tuple(_entry(rng) for _ in range(rng.randint(0, 4)))
    return FilterRule(sources, entries, _protocols(rng), origins=origin)


def _entry(rng: Random) -> NetPortRange:
    text = rng.choice((*HOSTS, *HOSTS, *BLOCKS, "*"))
    if rng.random() < 0.3:
        return NetPortRange(text, ALL_PORTS)
    first, last = sorted((rng.choice(PORTS), rng.choice(PORTS)))
    # Two halves of all ports are not the same as all ports.
    return NetPortRange(text, rng.choice((PortRange(first, last), PortRange(first, first))))


def _protocols(rng: Random) -> tuple[int, ...] | None:
    if rng.random() < 0.5:
        return None
    return tuple(rng.sample(PROTOCOLS, rng.randint(1, 3)))


def _some(rng: Random, texts: tuple[str, ...], most: int) -> tuple[str, ...]:
    return tuple(rng.choice(texts) for _ in range(rng.randint(0, most)))


def _near(rng: Random, text: str) -> tuple[int, int]:
    version, first, last = rng.choice(parse_ranges(text))
    ends = (first, first, first, last, last, last, first - 1, last + 1, (first + last) // 2)
    return version, min(max(rng.choice(ends), 0), TOP[version])


def _near_of_version(rng: Random, texts: list[str], version: int) -> int:
    fitting = [text for text in texts if any(r.version == version for r in parse_ranges(text))]
    if not fitting:
        return rng.getrandbits(BITS[version])
    for _ in range(8):
        found, value = _near(rng, rng.choice(fitting))
        if found == version:
            return value
    return 0


def _near_port(rng: Random, ports: PortRange) -> int:
    near = (
        ports.first,
        ports.first,
        ports.last,
        ports.last,
        ports.first - 1,
        ports.last + 1,
        rng.choice(PORTS),
    )
    return min(max(rng.choice(near), ALL_PORTS.first), ALL_PORTS.last)
