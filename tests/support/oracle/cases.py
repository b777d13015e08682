"""The literal reading of a policy's own tests: rules as written, before reduction (8.1)."""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from tests.support.oracle import postures
from tests.support.oracle.document import PROTOCOLS, Rule, split_destination
from tests.support.oracle.selectors import names_devices

if TYPE_CHECKING:
    from tests.support.oracle.literal import LiteralOracle
    from tests.support.oracle.spans import Ip

_DEFAULT = (6, 17)


class LiteralCases:
    """Answers tests with everything that one oracle knows."""

    def __init__(self, oracle: LiteralOracle) -> None:
        self._document = oracle.document
        self._tailnet = oracle.tailnet
        self._selectors = oracle.selectors

    def passes(self, entry: dict[str, Any]) -> bool:
        """Tell whether a well-formed entry of `tests` passes."""
        accepted = [self.reaches(entry, text) for text in entry.get("accept", ())]
        denied = [self.reaches(entry, text) for text in entry.get("deny", ())]
        return all(answer is True for answer in accepted) and all(
            answer is False for answer in denied
        )

    def reaches(self, entry: dict[str, Any], destination: str) -> bool | None:
        """Tell whether every address of the source reaches some of the destination's.

        None where nobody is there, or only with addresses of another version.
        """
        [(host, port, _)] = split_destination(destination)
        targets = self._everyone(host)
        answers = []
        for source in self._everyone(entry["src"]):
            family = [target for target in targets if target.version == source.version]
            if family:
                answers.append(any(self._allows(entry, source, t, port) for t in family))
        return all(answers) if answers else None

    def _allows(self, entry: dict[str, Any], src: Ip, dst: Ip, port: int) -> bool:
        name = entry.get("proto", "")
        asked = (PROTOCOLS[name.lower()],) if name else _DEFAULT
        return any(
            set(asked) & set(opening.protocols)
            and opening.first <= port <= opening.last
            and self._holds(opening.selector, dst)
            and any(self._selectors.source_holds(selector, src) for selector in rule.src)
            and self._passes_posture(rule, entry)
            for rule in self._document.rules
            if not rule.via
            for opening in rule.openings
        )

    def _passes_posture(self, rule: Rule, entry: dict[str, Any]) -> bool:
        if not rule.postures:
            return True
        attributes = entry.get("srcPostureAttrs")
        defined = self._document.section("postures", {})
        return attributes is not None and postures.passes_any(rule.postures, defined, attributes)

    def _holds(self, selector: str, dst: Ip) -> bool:
        """Tell whether a destination holds an address, whoever receives it."""
        if selector == "*":
            return True
        if names_devices(selector):
            device = self._tailnet.device_at(dst)
            return device is not None and self._selectors.names(selector, device)
        return any(stretch.holds(dst) for stretch in self._selectors.stretches(selector))

    def _everyone(self, selector: str) -> list[Ip]:
        """Return the addresses behind a party of a test."""
        if names_devices(selector):
            return [
                address
                for device in self._tailnet.devices.values()
                if self._selectors.names(selector, device)
                for address in device.addresses
            ]
        text = self._document.section("hosts", {}).get(selector, selector)
        return [ip_address(text.partition("/")[0])]
