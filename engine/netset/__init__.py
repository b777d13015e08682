"""Sets of addresses, ports and protocols: canonical, immutable, never expanded into members.

Part of the engine runtime, which also runs on nodes: standard library only, no I/O. The algebra
lives in `intervals`, addresses with a meaning of their own in `constants`.
"""

from __future__ import annotations

from engine.netset.address import (
    BITS,
    TOP,
    V4,
    V6,
    Address,
    AddressError,
    format_address,
    format_v4,
    format_v6,
    parse_v4,
    parse_v6,
)
from engine.netset.ipset import IpSet
from engine.netset.ports import PortError, PortSet, parse_port_range
from engine.netset.prefix import Prefix
from engine.netset.protocols import ProtocolError, parse_protocol, protocol_name
from engine.netset.ranges import ANY, AddressRange, cover, parse_ranges

__all__ = [
    "ANY",
    "BITS",
    "TOP",
    "V4",
    "V6",
    "Address",
    "AddressError",
    "AddressRange",
    "IpSet",
    "PortError",
    "PortSet",
    "Prefix",
    "ProtocolError",
    "cover",
    "format_address",
    "format_v4",
    "format_v6",
    "parse_port_range",
    "parse_protocol",
    "parse_ranges",
    "parse_v4",
    "parse_v6",
    "protocol_name",
]
