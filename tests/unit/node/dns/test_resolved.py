"""What systemd-resolved is told."""

from __future__ import annotations

from control.wire import DnsConfig, Resolver
from node.dns.resolved import settings
from node.dns.zone import zone_of
from tests.support.netmaps import netmap


def test_only_the_tailnets_names_are_taken() -> None:
    servers, domains, default = settings("postern0", zone_of(netmap()))
    assert servers[2:] == ["postern0", "100.100.100.100"]
    assert domains[3:] == ["tail.example", "~64.100.in-addr.arpa"]
    assert default[3] == "no"


def test_global_resolvers_take_everything() -> None:
    config = DnsConfig(proxied=True, resolvers=(Resolver(addr="9.9.9.9"),))
    _, domains, default = settings("postern0", zone_of(netmap(dns_config=config)))
    assert domains[-1] == "~."
    assert default[3] == "yes"
