"""What a netmap says about names, made for looking up."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from control.wire import DnsConfig, Resolver
    from node.netmap.netmap import NetMap

__all__ = ["IPAddress", "Zone", "zone_of"]

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class Zone:
    """Names are lower case, without the dot at the end."""

    hosts: Mapping[str, tuple[IPAddress, ...]] = field(default_factory=dict)
    names: Mapping[IPAddress, str] = field(default_factory=dict)
    """For PTR questions: nodes only, not extra records."""
    local_domains: frozenset[str] = frozenset()
    """Under these nobody else is asked."""
    routes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Suffix to upstream resolvers; the empty suffix is everything else."""
    search: tuple[str, ...] = ()
    is_on: bool = False

    def route_of(self, name: str) -> tuple[str, ...]:
        """Return the resolvers of the longest suffix that a name has; none to refuse."""
        labels = name.split(".")
        for start in range(len(labels)):
            found = self.routes.get(".".join(labels[start:]))
            if found is not None:
                return found
        return self.routes.get("", ())

    def local_domain_of(self, name: str) -> str | None:
        """Return the longest local domain that a name is under, None if there is none."""
        labels = name.split(".")
        suffixes = (".".join(labels[start:]) for start in range(len(labels)))
        return next((suffix for suffix in suffixes if suffix in self.local_domains), None)


def zone_of(netmap: NetMap | None, host_resolvers: tuple[str, ...] = ()) -> Zone:
    """Return the zone of a netmap; `host_resolvers` answer what the tailnet has no route for."""
    config = netmap.dns_config if netmap is not None else None
    if netmap is None or config is None:
        return Zone(routes={"": host_resolvers})
    hosts: dict[str, tuple[IPAddress, ...]] = {}
    names: dict[IPAddress, str] = {}
    for record in config.extra_records or ():
        name = _normal(record.name)
        try:
            hosts[name] = (*hosts.get(name, ()), ipaddress.ip_address(record.value))
        except ValueError:
            # Of a type that is answered elsewhere, or nowhere.
            continue
    for node in (netmap.self_node, *netmap.peers.values()):
        name = _normal(node.name)
        if name and config.proxied:
            addresses = tuple(prefix.network_address for prefix in node.addresses or ())
            hosts.setdefault(name, addresses)
            names.update(dict.fromkeys(addresses, name))
    return Zone(
        hosts=hosts,
        names=names,
        local_domains=frozenset(
            _normal(suffix) for suffix, resolvers in (config.routes or {}).items() if not resolvers
        ),
        routes=_routes(config, host_resolvers),
        search=tuple(_normal(domain) for domain in config.domains or ()),
        is_on=config.proxied,
    )


def _routes(config: DnsConfig, host_resolvers: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    routes = {
        _normal(suffix): _addresses(resolvers)
        for suffix, resolvers in (config.routes or {}).items()
        if resolvers
    }
    everywhere = _addresses(config.resolvers or ())
    routes[""] = everywhere or host_resolvers or _addresses(config.fallback_resolvers or ())
    return routes


def _addresses(resolvers: tuple[Resolver, ...]) -> tuple[str, ...]:
    return tuple(resolver.addr for resolver in resolvers if resolver.addr)


def _normal(name: str) -> str:
    return name.rstrip(".").lower()
