"""DNS configuration of the tailnet, from the operator's configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING

from control.wire import DnsConfig, DnsRecord, Resolver

if TYPE_CHECKING:
    from control.config import Dns

__all__ = ["dns_config_of", "reverse_zones"]


def reverse_zones() -> tuple[str, ...]:
    """Return the zones of PTR records for tailnet addresses, without trailing dots."""
    ipv4 = (f"{second}.100.in-addr.arpa" for second in range(64, 128))
    return ("0.e.1.a.c.5.1.1.a.7.d.f.ip6.arpa", *ipv4)


def dns_config_of(dns: Dns) -> DnsConfig:
    """Return what every node is told about names."""
    everywhere = tuple(Resolver(addr=addr) for addr in dns.nameservers.global_)
    routes: dict[str, tuple[Resolver, ...]] = {}
    if dns.magic_dns:
        routes = dict.fromkeys((dns.base_domain, *reverse_zones()), ())
    for domain, addresses in dns.nameservers.split.items():
        routes[domain] = tuple(Resolver(addr=addr) for addr in addresses)
    return DnsConfig(
        resolvers=everywhere if everywhere and dns.override_local_dns else None,
        fallback_resolvers=everywhere if everywhere and not dns.override_local_dns else None,
        routes=routes or None,
        domains=(dns.base_domain, *dns.search_domains),
        proxied=dns.magic_dns,
        extra_records=tuple(
            DnsRecord(name=record.name, type=record.type, value=record.value)
            for record in dns.extra_records
        )
        or None,
    )
