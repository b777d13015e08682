"""An inventory as plain JSON, read device by device."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

from tests.support.oracle.spans import Ip, Span, span


@dataclass(frozen=True)
class Device:
    """What rules ask of one device."""

    name: str
    addresses: tuple[Ip, ...]
    user: str | None
    tags: tuple[str, ...]
    subnets: tuple[Span, ...]
    """Advertised and approved, exit routes left out (0.3)."""
    is_exit: bool
    attributes: dict[str, Any]


@dataclass(frozen=True)
class Tailnet:
    """Devices by name, and the users."""

    devices: dict[str, Device]
    users: list[dict[str, Any]]

    def device_at(self, address: Ip) -> Device | None:
        for device in self.devices.values():
            if address in device.addresses:
                return device
        return None


def read(inventory: dict[str, Any]) -> Tailnet:
    devices = {entry["hostname"]: _device(entry) for entry in inventory["devices"]}
    return Tailnet(devices, inventory["users"])


def _device(entry: dict[str, Any]) -> Device:
    tags = tuple(entry.get("tags") or ())
    advertised = entry.get("advertisedRoutes") or ()
    enabled = entry.get("enabledRoutes") or ()
    effective = [route for route in advertised if route in enabled]
    return Device(
        name=entry["hostname"],
        addresses=tuple(ip_address(text) for text in entry["addresses"]),
        user=None if tags else entry.get("user") or None,
        tags=tags,
        subnets=tuple(span(route) for route in effective if not route.endswith("/0")),
        is_exit=any(route.endswith("/0") for route in effective),
        attributes=dict(entry.get("postureAttributes") or {}),
    )
