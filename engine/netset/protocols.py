"""IP protocol names and numbers of the policy language (policy reference 2.4).

A set of protocols is a plain `frozenset` of numbers.
"""

from __future__ import annotations

from engine.netset.address import quoted
from engine.rules import DEFAULT_PROTOCOLS, EngineError

__all__ = [
    "AH",
    "ALIASES",
    "DCCP",
    "DEFAULT",
    "EGP",
    "ESP",
    "FC",
    "GRE",
    "ICMPV4",
    "ICMPV6",
    "IGMP",
    "IGP",
    "IPV4",
    "NUMBERS",
    "PORTED",
    "SCTP",
    "TCP",
    "TSMP",
    "UDP",
    "ProtocolError",
    "parse_protocol",
    "protocol_name",
]

ICMPV4 = 1
IGMP = 2
IPV4 = 4
TCP = 6
EGP = 8
IGP = 9
UDP = 17
DCCP = 33
GRE = 47
ESP = 50
AH = 51
ICMPV6 = 58
TSMP = 99
"""Tailscale's own messages between peers, under the number of "any private encryption"."""
SCTP = 132
FC = 133

NUMBERS: dict[str, int] = {
    "icmp": ICMPV4,
    "igmp": IGMP,
    "ipv4": IPV4,
    "tcp": TCP,
    "egp": EGP,
    "igp": IGP,
    "udp": UDP,
    "dccp": DCCP,
    "gre": GRE,
    "esp": ESP,
    "ah": AH,
    "ipv6-icmp": ICMPV6,
    "tsmp": TSMP,
    "sctp": SCTP,
    # Known to Headscale only; a policy written for it keeps its meaning.
    "fc": FC,
}
"""Number of each protocol by its first name, in lower case."""

ALIASES: dict[str, int] = {"icmpv4": ICMPV4, "icmpv6": ICMPV6, "ip-in-ip": IPV4}
"""Number of each protocol that has a second name, by that name."""

DEFAULT = frozenset(DEFAULT_PROTOCOLS)
"""What a rule that names no protocol covers."""

PORTED = frozenset({TCP, UDP, SCTP})
"""Protocols whose rules may name ports; the others take all ports or none."""

_BY_NAME = NUMBERS | ALIASES
_NAMES = {number: name for name, number in NUMBERS.items()}
_MAX_DIGITS = 3


class ProtocolError(EngineError, ValueError):
    """Text that names no IP protocol; the message quotes it."""


def parse_protocol(text: str) -> int | None:
    """Read a protocol name in any case, or a decimal number from 1 to 255.

    Returns None for the default protocols, written as nothing, `*` or `0`. Raises ProtocolError.
    """
    if text in {"", "*"}:
        return None
    if text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS and int(text) <= 255:
        return int(text) or None
    number = _BY_NAME.get(text.lower())
    if number is None:
        raise ProtocolError(f"{quoted(text)} is not a protocol name or a number from 1 to 255")
    return number


def protocol_name(number: int) -> str:
    """Return the first name of a protocol, or its number in decimal where it has none."""
    return _NAMES.get(number, str(number))
