"""What one selector stands for, asked of one device or one address at a time (3.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support.oracle.spans import (
    INTERNET,
    WILDCARD,
    Ip,
    Network,
    Span,
    minimal,
    networks,
    span,
    without,
)

if TYPE_CHECKING:
    from tests.support.oracle.document import Document
    from tests.support.oracle.tailnet import Device, Tailnet

_ROLES = ("owner", "admin", "it-admin", "network-admin", "billing-admin", "auditor")


def names_devices(selector: str) -> bool:
    """Tell whether a selector stands for devices rather than for addresses as written."""
    return selector != "autogroup:internet" and (
        "@" in selector or selector.startswith(("group:", "tag:", "autogroup:"))
    )


def is_given(stretch: Span, receiver: Device) -> bool:
    """Tell whether a destination as written is delivered to a device (4.5)."""
    if any(stretch.holds(address) for address in receiver.addresses):
        return True
    if any(stretch.meets(subnet) for subnet in receiver.subnets):
        return True
    return receiver.is_exit and any(stretch.is_inside(public) for public in INTERNET)


class Selectors:
    """Answers for one policy and one inventory."""

    def __init__(self, document: Document, tailnet: Tailnet) -> None:
        self.document = document
        self.tailnet = tailnet

    def source_holds(self, selector: str, src: Ip) -> bool:
        """Tell whether a selector holds an address as a source (3.2)."""
        if selector == "autogroup:danger-all":
            return True
        if selector == "*":
            return any(stretch.holds(src) for stretch in WILDCARD) or self.is_routed(src)
        if names_devices(selector):
            device = self.tailnet.device_at(src)
            return device is not None and self.names(selector, device)
        return any(stretch.holds(src) for stretch in self.stretches(selector))

    def is_routed(self, src: Ip) -> bool:
        return any(s.holds(src) for d in self.tailnet.devices.values() for s in d.subnets)

    def names(self, selector: str, device: Device) -> bool:
        """Tell whether a selector names a device; `autogroup:self` names none by itself."""
        if selector.startswith("tag:"):
            return selector in device.tags
        if selector == "autogroup:tagged":
            return bool(device.tags)
        if device.user is None:
            return False
        if selector in {"autogroup:member", "autogroup:members"}:
            return True
        if selector.startswith("group:"):
            return device.user in self._members(selector)
        if selector.startswith("user:*@"):
            return device.user.endswith(selector.removeprefix("user:*"))
        if selector.startswith("autogroup:"):
            return self._has_role(selector.removeprefix("autogroup:"), device.user)
        return selector == device.user

    def _members(self, group: str) -> list[str]:
        groups = self.document.section("groups", {})
        if group in groups:
            return list(groups[group])
        return [u["loginName"] for u in self.tailnet.users if group in u.get("groups", ())]

    def _has_role(self, wanted: str, login: str) -> bool:
        if wanted not in _ROLES:
            return False
        roles = [user["role"] for user in self.tailnet.users if user["loginName"] == login]
        return wanted in roles or (wanted == "admin" and "owner" in roles)

    def stretches(self, selector: str) -> list[Span]:
        """Return the addresses that a selector spells out, each as it goes on the wire."""
        if selector == "autogroup:internet":
            return list(INTERNET)
        if selector.startswith("ipset:"):
            return [span(str(network)) for network in minimal(self._ipset(selector))]
        return [span(self.document.section("hosts", {}).get(selector, selector))]

    def _ipset(self, name: str) -> list[Network]:
        held: list[Network] = []
        for entry in self.document.section("ipsets", {})[name]:
            keyword, _, target = entry.rpartition(" ")
            if target.startswith("ipset:"):
                moved = self._ipset(target)
            else:
                moved = [n for s in self.stretches(target) for n in networks(s)]
            if keyword == "remove":
                for network in moved:
                    held = without(held, network)
            else:
                held = [*held, *moved]
        return held
