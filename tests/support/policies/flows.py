"""Random flows at and next to the ends of everything that a policy and an inventory name."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address, ip_network
from typing import TYPE_CHECKING, Any

from tests.support.oracle.literal import Asked
from tests.support.policies.vocabulary import HOSTS, LITERALS, PROTOCOLS, ROUTES, STRANGERS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from random import Random

_KINDS = {4: IPv4Address, 6: IPv6Address}
_PORT = re.compile(r"\d+")


class FlowMaker:
    """Makes flows for one policy and one inventory."""

    def __init__(self, policy: dict[str, Any], inventory: dict[str, Any]) -> None:
        self._devices = inventory["devices"]
        self._owned = {4: [""], 6: [""]}
        for device in self._devices:
            for address in device["addresses"]:
                self._owned[6 if ":" in address else 4].append(address)
        self._ends = _ENDS
        self._ports = sorted(_near_ports(policy))

    def flow(self, rng: Random) -> Asked:
        """Return one flow; most often between devices or to what the receiver routes."""
        receiver = rng.choice(self._devices)
        version = rng.choice((4, 6))
        return Asked(
            src=self._address(rng, version, rng.choice(self._owned[version])),
            dst=self._destination(rng, version, receiver),
            receiver=receiver["hostname"],
            proto=rng.choice(PROTOCOLS),
            port=rng.choice(self._ports),
        )

    def _address(self, rng: Random, version: int, preferred: str, weight: float = 0.75) -> str:
        if preferred and rng.random() < weight:
            return preferred
        return rng.choice(self._ends[version])

    def _destination(self, rng: Random, version: int, receiver: dict[str, Any]) -> str:
        own = [text for text in receiver["addresses"] if (":" in text) == (version == 6)]
        routed = [
            text
            for route in receiver["advertisedRoutes"]
            if (":" in route) == (version == 6)
            for text in _ends(route)
        ]
        if routed and rng.random() < 0.5:
            return rng.choice(routed)
        return self._address(rng, version, own[0] if own else "", weight=0.6)


def _ends(text: str) -> Iterator[str]:
    """Yield the first and last address of a prefix, what lies next to it, and one inside."""
    network = ip_network(text, strict=False)
    first, last = int(network[0]), int(network[-1])
    top = (1 << network.max_prefixlen) - 1
    for value in (first, last, max(first - 1, 0), min(last + 1, top), (first + last) // 2):
        yield str(_KINDS[network.version](value))


def _all_ends(texts: Iterable[str]) -> dict[int, list[str]]:
    found: dict[int, list[str]] = {4: [], 6: []}
    for text in texts:
        for end in _ends(text):
            found[6 if ":" in end else 4].append(end)
    return found


_ENDS = _all_ends((*HOSTS.values(), *LITERALS, *ROUTES, *STRANGERS))


def _near_ports(policy: dict[str, Any]) -> set[int]:
    """Return every port that the rules name, those next to it, and the ends of all."""
    named = {0, 1, 22, 65535}
    for section in ("acls", "grants", "ACLS", "GRANTS"):
        for rule in policy.get(section, ()):
            # An acl's ports stand behind the last colon, a grant's make up the whole entry.
            texts = [*rule.get("ip", ()), *(rule.get("dst", ()) if "action" in rule else ())]
            for text in texts:
                named.update(int(digits) for digits in _PORT.findall(text.rpartition(":")[2]))
    return {min(max(port + step, 0), 65535) for port in named for step in (-1, 0, 0, 1)}
