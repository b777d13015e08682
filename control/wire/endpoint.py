"""Endpoints: an address and a port, `192.0.2.1:41641` or `[2001:db8::1]:41641`."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final, NamedTuple

__all__ = ["AddrPort", "parse_addr_port", "usable_endpoints"]

MAX_ENDPOINTS: Final = 50
"""More than a node can honestly have; the rest is dropped."""


class AddrPort(NamedTuple):
    """An address, never zoned, and a port."""

    ip: IPv4Address | IPv6Address
    port: int

    def __str__(self) -> str:
        if self.ip.version == 6:
            return f"[{self.ip}]:{self.port}"
        return f"{self.ip}:{self.port}"


def parse_addr_port(text: str) -> AddrPort:
    """Parse one endpoint; raises ValueError, also for zones and for brackets in the wrong place."""
    host, colon, port = text.rpartition(":")
    if not colon or not (port.isascii() and port.isdigit() and len(port) <= 5):
        raise ValueError("endpoint: expected ADDRESS:PORT")
    is_bracketed = host.startswith("[") and host.endswith("]")
    ip = ip_address(host[1:-1] if is_bracketed else host)
    if is_bracketed != (ip.version == 6) or "%" in host or int(port) > 65535:
        raise ValueError("endpoint: expected ADDRESS:PORT")
    return AddrPort(ip, int(port))


def usable_endpoints(texts: tuple[str, ...]) -> tuple[AddrPort, ...]:
    """Return those endpoints that peers could reach, in order, without repeats, bounded in number.

    What cannot be parsed is dropped too: a node's odd endpoint must not reach a peer's decoder.
    """
    kept: dict[AddrPort, None] = {}
    for text in texts:
        try:
            endpoint = parse_addr_port(text)
        except ValueError:
            continue
        if _is_usable(endpoint):
            kept[endpoint] = None
        if len(kept) == MAX_ENDPOINTS:
            break
    return tuple(kept)


def _is_usable(endpoint: AddrPort) -> bool:
    ip = endpoint.ip
    is_far_link_local = ip.version == 6 and ip.is_link_local
    return endpoint.port != 0 and not (
        ip.is_unspecified or ip.is_multicast or ip.is_loopback or is_far_link_local
    )
