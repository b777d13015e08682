"""The list of our own endpoints."""

from __future__ import annotations

from collections import Counter
from ipaddress import ip_address

from node.paths.netcheck.report import Report
from node.paths.own_endpoints import EndpointKind, LocalAddresses, OwnEndpoints
from node.transport.endpoint import Endpoint

LAN = ip_address("192.168.1.5")
LAN6 = ip_address("2001:db8::5")
GLOBAL = Endpoint.parse("203.0.113.9:5555")
LOCAL = LocalAddresses((LAN,), 41641, 41641)


def report(**changes: object) -> Report:
    made = Report(0, global4=GLOBAL, seen4=Counter({GLOBAL: 1}))
    for name, value in changes.items():
        setattr(made, name, value)
    return made


def texts(found: list[object]) -> list[str]:
    return [str(getattr(own, "endpoint", own)) for own in found]


def test_order_is_mapped_stun_explicit_local() -> None:
    found = OwnEndpoints().gather(
        LOCAL,
        report(),
        mapped=Endpoint.parse("203.0.113.9:7777"),
        explicit=[Endpoint.parse("198.51.100.1:1")],
        now=0,
    )
    assert [own.kind for own in found] == [
        EndpointKind.PORT_MAPPED,
        EndpointKind.STUN,
        EndpointKind.EXPLICIT,
        EndpointKind.LOCAL,
    ]
    assert str(found[-1].endpoint) == "192.168.1.5:41641"


def test_fixed_port_behind_a_hard_nat_may_have_been_forwarded() -> None:
    fixed = LocalAddresses((LAN,), 41641, 41641, is_port_fixed=True)
    found = OwnEndpoints().gather(fixed, report(mapping_varies=True), now=0)
    kinds = {str(own.endpoint): own.kind for own in found}
    assert kinds["203.0.113.9:41641"] is EndpointKind.STUN4_LOCAL_PORT


def test_random_port_behind_a_hard_nat_was_not() -> None:
    found = OwnEndpoints().gather(LOCAL, report(mapping_varies=True), now=0)
    assert "203.0.113.9:41641" not in texts(list(found))


def test_each_family_is_told_with_its_own_port() -> None:
    local = LocalAddresses((LAN, LAN6), 1111, 2222)
    found = OwnEndpoints().gather(local, None, now=0)
    assert texts(list(found)) == ["192.168.1.5:1111", "[2001:db8::5]:2222"]


def test_loopback_is_told_only_if_there_is_nothing_else() -> None:
    loopback = ip_address("127.0.0.1")
    alone = OwnEndpoints().gather(LocalAddresses((loopback,), 1, 1), None, now=0)
    beside = OwnEndpoints().gather(LocalAddresses((loopback, LAN), 1, 1), None, now=0)
    assert texts(list(alone)) == ["127.0.0.1:1"]
    assert texts(list(beside)) == ["192.168.1.5:1"]


def test_addresses_inside_tunnels_are_never_told() -> None:
    inside = tuple(map(ip_address, ("100.101.1.1", "fd7a:115c:a1e0::1", "fe80::1")))
    found = OwnEndpoints().gather(LocalAddresses((*inside, LAN), 1, 1), None, now=0)
    assert texts(list(found)) == ["192.168.1.5:1"]


def test_seen_endpoints_are_kept_for_five_minutes() -> None:
    own = OwnEndpoints()
    own.gather(LOCAL, report(), now=0)
    assert str(GLOBAL) in texts(list(own.gather(LOCAL, None, now=300)))
    assert str(GLOBAL) not in texts(list(own.gather(LOCAL, None, now=311)))


def test_at_most_six_ports_of_an_address_are_remembered() -> None:
    own = OwnEndpoints()
    for port in range(1, 20):
        seen = Endpoint.parse(f"203.0.113.9:{port}")
        found = own.gather(LOCAL, report(global4=seen, seen4=Counter()), now=port)
    assert len([text for text in texts(list(found)) if text.startswith("203.")]) == 6
