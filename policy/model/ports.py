"""Port lists, protocols and the `ip` entries of grants (policy reference 2.4)."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from policy.model.grammar import UnexpectedTextError, parse_term

if TYPE_CHECKING:
    from policy.model.grammar import PortsSpec

__all__ = [
    "ANY",
    "PROTOCOLS",
    "PROTOCOLS_WITH_PORTS",
    "IpSpec",
    "PolicyValueError",
    "Ports",
    "parse_grant_ip",
    "parse_ports",
    "parse_protocol",
]

PROTOCOLS: dict[str, int] = {
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
"""Protocol names, in lower case, to their numbers."""

PROTOCOLS_WITH_PORTS = frozenset({6, 17, 132})


class PolicyValueError(ValueError):
    """A string that cannot be read as what it stands for; the message is the service's."""


class Ports(NamedTuple):
    """Ports `first` to `last`, both included."""

    first: int
    last: int


ANY = Ports(0, 65535)
"""What `*` means."""


class IpSpec(NamedTuple):
    """One entry of a grant's `ip`."""

    protocol: int | None
    """Protocol number, or None for the default protocols."""
    ports: Ports


@lru_cache(maxsize=1 << 16)
def parse_ports(text: str) -> tuple[Ports, ...]:
    """Parse the port side of an acl destination: `*`, or a comma list of `N` and `N-M`.

    Raises PolicyValueError with the service's words.
    """
    if not text:
        raise PolicyValueError('invalid port list: ""')
    try:
        specs = parse_term("ports", text)
    except UnexpectedTextError:
        for part in text.split(","):
            _refuse_range(part)
        raise PolicyValueError(f'invalid port list: "{text}"') from None
    return tuple(_ports(spec) for spec in specs)


@lru_cache(maxsize=1 << 16)
def parse_grant_ip(text: str) -> IpSpec:
    """Parse an `ip` entry: `*`, `N`, `N-M`, or a protocol, a colon and one of these.

    Raises PolicyValueError with the service's words.
    """
    if not text:
        raise PolicyValueError("empty string")
    try:
        protocol_text, spec = parse_term("grant_ip", text)
    except UnexpectedTextError:
        protocol, colon, ports = text.rpartition(":")
        if colon:
            parse_protocol(protocol)
        _refuse_range(ports)
        raise PolicyValueError(f'port range "{ports}": invalid first integer') from None
    number = None if protocol_text is None else parse_protocol(protocol_text)
    return IpSpec(number, _ports(spec))


def parse_protocol(text: str) -> int | None:
    """Parse a protocol name (any case) or number; None for `*`, the default protocols.

    Raises PolicyValueError with the service's words.
    """
    if not text:
        raise PolicyValueError("empty protocol")
    if text == "*":
        return None
    number = PROTOCOLS.get(text.lower())
    if number is not None:
        return number
    if text.isascii() and text.isdigit() and len(text) <= 3 and int(text) <= 255:
        return int(text) or None
    raise PolicyValueError(f'proto name "{text}" not known; use protocol number 0-255')


def _ports(spec: PortsSpec) -> Ports:
    if spec is None:
        return ANY
    text = spec[0] if spec[0] == spec[1] else "-".join(spec)
    first = _port(spec[0], text, "first")
    last = _port(spec[1], text, "last")
    if first == 0:
        raise PolicyValueError(
            f"port range \"{text}\": first port must be >0, or use '*' for wildcard"
        )
    if first > last:
        # The service says it this way round.
        raise PolicyValueError(f'port range "{text}": first port must be >= last port')
    return Ports(first, last)


def _port(digits: str, text: str, which: str) -> int:
    # Bounded before conversion: a port of a million digits must not cost a second.
    if len(digits) > 5 or int(digits) > 65535:
        raise PolicyValueError(f'port range "{text}": invalid {which} integer')
    return int(digits)


def _refuse_range(text: str) -> None:
    """Raise with what the service says of `text`; return where it would not complain."""
    if text == "*":
        return
    first, dash, last = text.partition("-")
    if "-" in last:
        raise PolicyValueError(f'port range "{text}": too many dashes(-)')
    if not _is_port(first):
        raise PolicyValueError(f'port range "{text}": invalid first integer')
    if dash and not _is_port(last):
        raise PolicyValueError(f'port range "{text}": invalid last integer')


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 5 and int(text) <= 65535
