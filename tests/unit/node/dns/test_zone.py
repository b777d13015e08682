"""What a netmap says about names."""

from __future__ import annotations

import ipaddress

import pytest

from control.wire import DnsConfig, DnsRecord, Resolver
from node.dns.zone import zone_of
from tests.support.netmaps import netmap, wire_node


def configured(**values: object) -> DnsConfig:
    return DnsConfig(**values)  # type: ignore[arg-type]


def test_nodes_have_names_both_ways() -> None:
    zone = zone_of(netmap(wire_node(2, "web")))
    assert zone.hosts["web.tail.example"][0] == ipaddress.ip_address("100.64.0.2")
    assert zone.names[ipaddress.ip_address("fd7a:115c:a1e0::2")] == "web.tail.example"
    assert "own.tail.example" in zone.hosts


def test_extra_records_win_over_nodes() -> None:
    config = configured(
        proxied=True, extra_records=(DnsRecord(name="web.tail.example.", value="192.0.2.7"),)
    )
    zone = zone_of(netmap(wire_node(2, "web"), dns_config=config))
    assert zone.hosts["web.tail.example"] == (ipaddress.ip_address("192.0.2.7"),)


def test_without_magic_dns_nodes_have_no_names() -> None:
    assert zone_of(netmap(wire_node(2), dns_config=configured())).hosts == {}


@pytest.mark.parametrize(
    ("name", "resolvers"),
    [
        ("a.b.corp.example", ("10.0.0.2",)),
        ("b.corp.example", ("10.0.0.2",)),
        ("c.corp.example", ("10.0.0.1",)),
        ("xcorp.example", ("9.9.9.9",)),
    ],
)
def test_longest_suffix_wins(name: str, resolvers: tuple[str, ...]) -> None:
    config = configured(
        routes={
            "corp.example.": (Resolver(addr="10.0.0.1"),),
            "b.corp.example": (Resolver(addr="10.0.0.2"),),
        },
        resolvers=(Resolver(addr="9.9.9.9"),),
    )
    assert zone_of(netmap(dns_config=config)).route_of(name) == resolvers


def test_host_resolvers_answer_what_the_tailnet_has_no_route_for() -> None:
    config = configured(fallback_resolvers=(Resolver(addr="9.9.9.9"),))
    assert zone_of(netmap(dns_config=config), ("192.0.2.53",)).route_of("a") == ("192.0.2.53",)
    assert zone_of(netmap(dns_config=config)).route_of("a") == ("9.9.9.9",)
