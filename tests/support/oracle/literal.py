"""The literal oracle: one flow, one receiver, each rule of the policy asked in turn.

Written from the policy reference alone (parts 3, 4, 7.4 and 9.3) and sharing no code with the
engine: no set algebra, no plan, no index, no merging. Slow, and meant to be.
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, NamedTuple

from tests.support.oracle import postures
from tests.support.oracle.document import Document, Opening, Rule
from tests.support.oracle.selectors import Selectors, is_given, names_devices
from tests.support.oracle.spans import INTERNET, Ip
from tests.support.oracle.tailnet import Device, read

if TYPE_CHECKING:
    from tests.support.oracle.tailnet import Tailnet

_TSMP = 99
_WITH_PORTS = (6, 17, 132)
_PSEUDO = (0, 255)
_ECHO = {4: 1, 6: 58}
_COMPANIONS = {
    "tailscale.com/cap/drive": "tailscale.com/cap/drive-sharer",
    "tailscale.com/cap/relay": "tailscale.com/cap/relay-target",
}
_ANYBODY = ("*", "autogroup:danger-all")


class Asked(NamedTuple):
    """A new flow arriving at a device."""

    src: str
    dst: str
    receiver: str
    proto: int
    port: int


class LiteralOracle:
    """Answers by reading a policy and an inventory as they are written."""

    def __init__(self, policy: dict[str, Any], inventory: dict[str, Any]) -> None:
        self.document = Document(policy)
        self.tailnet: Tailnet = read(inventory)
        self.selectors = Selectors(self.document, self.tailnet)

    def allows(self, asked: Asked) -> bool:
        """Tell whether the receiver lets the flow in (9.3)."""
        return asked.proto == _TSMP or bool(self.matching(asked))

    def matching(self, asked: Asked) -> list[tuple[str, int]]:
        """Return the section and position of every rule that lets the flow in."""
        if asked.proto in (_TSMP, *_PSEUDO):
            return []
        src, dst = ip_address(asked.src), ip_address(asked.dst)
        receiver = self.tailnet.devices[asked.receiver]
        return [
            (rule.section, rule.position)
            for rule in self.document.rules
            if any(
                _speaks(opening, src.version, asked.proto, asked.port)
                and self._opens(rule, opening.selector, src, dst, receiver)
                for opening in rule.openings
            )
        ]

    def capabilities(self, src_text: str, dst_text: str, receiver: str) -> set[str]:
        """Return the application capabilities of `src` on a device's own address (4.6, 7.4)."""
        src, dst = ip_address(src_text), ip_address(dst_text)
        device = self.tailnet.devices[receiver]
        held: set[str] = set()
        if dst not in device.addresses:
            return held
        for rule in self.document.rules:
            if rule.via or not rule.app:
                continue
            for selector in rule.dst:
                if self._opens(rule, selector, src, dst, device):
                    held.update(rule.app)
            if self._looks_back(rule, src, dst, device):
                held.update(name for granted, name in _COMPANIONS.items() if granted in rule.app)
        return held

    def _looks_back(self, rule: Rule, src: Ip, dst: Ip, receiver: Device) -> bool:
        """Tell whether a rule's destinations see its sources (4.6, companions)."""
        if not self._is_source(rule, dst, receiver):
            return False
        looking = self.tailnet.device_at(src)
        return any(
            looking is not None and looking.user == receiver.user is not None
            if selector == "autogroup:self"
            else self.selectors.source_holds(selector, src)
            for selector in rule.dst
        )

    def _opens(self, rule: Rule, selector: str, src: Ip, dst: Ip, receiver: Device) -> bool:
        """Tell whether one destination of a rule lets `src` reach `dst` at the receiver."""
        if src.version != dst.version:
            return False
        if rule.via:
            return self._holds_source(rule, src) and self._steers(rule, selector, dst, receiver)
        if selector == "autogroup:self":
            return self._opens_self(rule, src, dst, receiver)
        return self._holds_source(rule, src) and self._delivers(selector, dst, receiver)

    def _delivers(self, selector: str, dst: Ip, receiver: Device) -> bool:
        """Tell whether a destination holds `dst` and is given to the receiver (4.5)."""
        if selector == "*":
            return True
        if names_devices(selector):
            return dst in receiver.addresses and self.selectors.names(selector, receiver)
        return any(
            stretch.holds(dst) and is_given(stretch, receiver)
            for stretch in self.selectors.stretches(selector)
        )

    def _steers(self, rule: Rule, selector: str, dst: Ip, receiver: Device) -> bool:
        """Tell whether a via rule opens `dst` on the receiver: on its routes only (4.7)."""
        if not set(rule.via) & set(receiver.tags):
            return False
        if selector == "*" or names_devices(selector):
            return False
        if selector == "autogroup:internet":
            return receiver.is_exit and any(stretch.holds(dst) for stretch in INTERNET)
        return any(
            stretch.holds(dst) and any(stretch.meets(subnet) for subnet in receiver.subnets)
            for stretch in self.selectors.stretches(selector)
        )

    def _opens_self(self, rule: Rule, src: Ip, dst: Ip, receiver: Device) -> bool:
        """Tell whether `src` is a device of the receiver's own user that the rule names (3.3)."""
        source = self.tailnet.device_at(src)
        return (
            receiver.user is not None
            and dst in receiver.addresses
            and source is not None
            and source.user == receiver.user
            and self._is_source(rule, src, source)
        )

    def _is_source(self, rule: Rule, address: Ip, device: Device) -> bool:
        """Tell whether a rule's sources hold a device, `*` being every device."""
        return self._passes(rule, device) and any(
            selector in _ANYBODY or self.selectors.source_holds(selector, address)
            for selector in rule.src
        )

    def _holds_source(self, rule: Rule, src: Ip) -> bool:
        """Tell whether a rule's sources hold an address, on or off the tailnet."""
        if not rule.postures:
            return any(self.selectors.source_holds(selector, src) for selector in rule.src)
        device = self.tailnet.device_at(src)
        if device is not None and not self._passes(rule, device):
            return False
        return any(
            # Under a posture, anybody is whoever was checked, and the subnets behind routers.
            device is not None or self.selectors.is_routed(src)
            if selector in _ANYBODY
            else self.selectors.source_holds(selector, src)
            for selector in rule.src
        )

    def _passes(self, rule: Rule, device: Device) -> bool:
        defined = self.document.section("postures", {})
        return not rule.postures or postures.passes_any(rule.postures, defined, device.attributes)


def _speaks(opening: Opening, version: int, proto: int, port: int) -> bool:
    """Tell whether a destination's protocols and ports let a packet through (9.3)."""
    if proto == _ECHO[version]:
        return True
    if proto not in opening.protocols:
        return False
    if proto in _WITH_PORTS:
        return opening.first <= port <= opening.last
    return (opening.first, opening.last) == (0, 65535)
