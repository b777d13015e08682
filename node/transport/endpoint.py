"""A UDP address of a peer."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field


class InvalidEndpointError(ValueError):
    """Text that is no `address:port`."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An IP address and a UDP port; for an IPv6 link-local address also the interface."""

    ip: ipaddress.IPv4Address | ipaddress.IPv6Address
    port: int
    scope_id: int = 0
    address: tuple[str, int] | tuple[str, int, int, int] = field(
        init=False, repr=False, compare=False
    )
    """What the socket calls take."""

    def __post_init__(self) -> None:
        address: tuple[str, int] | tuple[str, int, int, int] = (str(self.ip), self.port)
        if self.ip.version == 6:
            address = (str(self.ip), self.port, 0, self.scope_id)
        object.__setattr__(self, "address", address)

    @classmethod
    def parse(cls, text: str) -> Endpoint:
        """Read `192.0.2.1:51820` or `[2001:db8::1]:51820`. Raises InvalidEndpointError."""
        host, _, port = text.rpartition(":")
        if host.startswith("[") and host.endswith("]"):
            host = host[1:-1]
        elif ":" in host:
            raise InvalidEndpointError(f"{text!r}: write an IPv6 endpoint as [address]:port")
        try:
            endpoint = cls(ipaddress.ip_address(host), int(port))
        except ValueError:
            raise InvalidEndpointError(f"{text!r} is not address:port") from None
        if not 0 < endpoint.port <= 0xFFFF:
            raise InvalidEndpointError(f"{text!r}: the port must be 1 to 65535")
        return endpoint

    @classmethod
    def from_text(cls, ip: str, port: int) -> Endpoint:
        """Build one from an address text and a port. Raises ValueError."""
        return cls(ipaddress.ip_address(ip), port)

    @classmethod
    def from_sockaddr(cls, sockaddr: tuple[str, int] | tuple[str, int, int, int]) -> Endpoint:
        """Read what the socket calls return; an IPv4-mapped IPv6 address becomes IPv4."""
        host = sockaddr[0].partition("%")[0]
        ip = ipaddress.ip_address(host)
        if isinstance(ip, ipaddress.IPv6Address):
            if ip.ipv4_mapped is not None:
                return cls(ip.ipv4_mapped, sockaddr[1])
            return cls(ip, sockaddr[1], sockaddr[3] if len(sockaddr) == 4 else 0)
        return cls(ip, sockaddr[1])

    def cookie_source(self) -> bytes:
        """Return address and port: what a cookie is bound to."""
        return self.ip.packed + self.port.to_bytes(2, "big")

    def rate_source(self) -> bytes:
        """Return the IPv4 address or the IPv6 /64."""
        return self.ip.packed[:8]

    def __str__(self) -> str:
        return f"{self.ip}:{self.port}" if self.ip.version == 4 else f"[{self.ip}]:{self.port}"
