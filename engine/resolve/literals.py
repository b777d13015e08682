"""Selectors that spell addresses out: they mean the same on every tailnet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.netset.constants import INTERNET, INTERNET_SET, TAILNET_SET, WILDCARD_SOURCE_SET
from engine.netset.ipset import IpSet
from policy.model.selectors import Address, Autogroup, Cidr, HostAlias, IpSetName, Selector

if TYPE_CHECKING:
    from ipaddress import IPv4Network, IPv6Network

    from policy.model.document import Policy

__all__ = ["Literals"]


class Literals:
    """Reads the addresses out of the selectors of one policy, each ip set once."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._ipsets: dict[str, IpSet] = {}
        self._sets: dict[Selector, IpSet | None] = {}

    def texts(self, selector: Selector) -> tuple[str, ...] | None:
        """Return wire strings; None for a selector that names devices or services."""
        match selector:
            case Address():
                return (str(selector.ip),)
            case Cidr():
                return (_short(selector.network),)
            case HostAlias():
                return (_short(self._policy.hosts[selector.text].network),)
            case IpSetName():
                return tuple(prefix.short for prefix in self._ipset(selector.text).prefixes())
            case Autogroup() if selector.name == "internet":
                return INTERNET
            case _:
                return None

    def addresses(self, selector: Selector) -> IpSet | None:
        """Return the same as a set, each read once."""
        if selector not in self._sets:
            self._sets[selector] = self._set(selector)
        return self._sets[selector]

    def _set(self, selector: Selector) -> IpSet | None:
        if isinstance(selector, IpSetName):
            return self._ipset(selector.text)
        if isinstance(selector, Autogroup):
            return INTERNET_SET if selector.name == "internet" else None
        texts = self.texts(selector)
        return None if texts is None else IpSet.of_strings(texts)

    @staticmethod
    def in_tailnet(addresses: IpSet) -> bool:
        """Tell whether any of some addresses can be a device's."""
        return addresses.overlaps(TAILNET_SET)

    @staticmethod
    def all_in_wildcard(addresses: IpSet) -> bool:
        """Tell whether the source `*` holds all of some addresses, whatever subnets there are."""
        return addresses.issubset(WILDCARD_SOURCE_SET)

    def _ipset(self, name: str) -> IpSet:
        """Build an ip set from its steps, members first: chains may be longer than the stack.

        INVARIANT: lowering has refused cycles, so the walk ends.
        """
        waiting = [name]
        while waiting:
            entries = self._policy.ipsets[waiting[-1]].entries
            missing = [
                entry.target.text
                for entry in entries
                if isinstance(entry.target, IpSetName) and entry.target.text not in self._ipsets
            ]
            if missing:
                waiting.extend(missing)
                continue
            built = IpSet()
            for entry in entries:
                held = self._built(entry.target)
                built = built | held if entry.add else built - held
            self._ipsets[waiting.pop()] = built
        return self._ipsets[name]

    def _built(self, selector: Selector) -> IpSet:
        if isinstance(selector, IpSetName):
            return self._ipsets[selector.text]
        return self.addresses(selector) or IpSet()


def _short(network: IPv4Network | IPv6Network) -> str:
    single = network.prefixlen == network.max_prefixlen
    return str(network.network_address) if single else str(network)
