"""The router that IPv4 packets leave by, as the kernel lists its main routing table."""

from __future__ import annotations

from ipaddress import IPv4Address
from pathlib import Path
from typing import Final

__all__ = ["default_gateway", "parse_routes"]

_ROUTES: Final = Path("/proc/net/route")
_UP_AND_GATEWAY: Final = 0x3
_FIELDS: Final = 8


def default_gateway(without: str = "") -> IPv4Address | None:
    """Return the default gateway; routes through the interface `without` do not count."""
    try:
        return parse_routes(_ROUTES.read_text(encoding="ascii"), without)
    except OSError:
        # No procfs, no router that we know of.
        return None


def parse_routes(text: str, without: str = "") -> IPv4Address | None:
    """Read the kernel's table: interface, destination, gateway, flags, ..., metric, mask."""
    found: list[tuple[int, IPv4Address]] = []
    for line in text.splitlines()[1:]:
        fields = line.split()
        if len(fields) < _FIELDS or fields[0] == without:
            continue
        destination, gateway, flags, metric, mask = (fields[n] for n in (1, 2, 3, 6, 7))
        if int(flags, 16) & _UP_AND_GATEWAY == _UP_AND_GATEWAY and destination == mask == "0" * 8:
            # The table prints addresses as numbers of this machine's byte order.
            address = IPv4Address(bytes.fromhex(gateway)[::-1])
            found.append((int(metric), address))
    return min(found)[1] if found else None
