"""DNS configuration and DERP map of the tailnet, from the operator's configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING

from control.wire import (
    DerpMap,
    DerpNode,
    DerpRegion,
    DnsConfig,
    DnsRecord,
    Resolver,
)

if TYPE_CHECKING:
    from control.config import Derp, Dns

__all__ = ["derp_map_of", "dns_config_of", "reverse_zones"]


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


def derp_map_of(derp: Derp, embedded: DerpRegion | None = None) -> DerpMap:
    """Return the relays that every node is told of; the vendor's are left out."""
    own = {} if embedded is None else {embedded.region_id: embedded}
    return DerpMap(
        regions=own
        | {
            region.id: DerpRegion(
                region_id=region.id,
                region_code=region.code,
                region_name=region.name or region.code,
                nodes=tuple(
                    DerpNode(
                        name=node.name,
                        region_id=region.id,
                        host_name=node.host_name,
                        ipv4=node.ipv4,
                        ipv6=node.ipv6,
                        stun_port=node.stun_port,
                        derp_port=node.derp_port,
                        cert_name=node.cert_name,
                        insecure_for_tests=node.insecure_for_tests,
                    )
                    for node in region.nodes
                ),
            )
            for region in derp.regions
        },
        omit_default_regions=True,
    )
