from __future__ import annotations

import pytest

from engine.evaluate import local_destinations
from engine.netset import Address, IpSet, Prefix

OWN = [Address.parse("100.64.0.9"), Address.parse("fd7a:115c:a1e0::9")]
EXIT = [Prefix.parse("0.0.0.0/0"), Prefix.parse("::/0")]


def test_a_plain_node_answers_for_its_own_addresses() -> None:
    assert local_destinations(OWN, []) == IpSet.of("100.64.0.9", "fd7a:115c:a1e0::9")


def test_a_subnet_router_answers_for_its_routes_as_well() -> None:
    found = local_destinations(OWN[:1], [Prefix.parse("10.9.0.0/16")])
    assert found == IpSet.of("100.64.0.9", "10.9.0.0/16")


@pytest.mark.parametrize("destination", ["8.8.8.8", "127.0.0.1", "2606:4700::1", "fc00::1"])
def test_an_exit_node_answers_for_the_public_internet(destination: str) -> None:
    assert Address.parse(destination) in local_destinations([], EXIT)


@pytest.mark.parametrize(
    "destination",
    [
        "192.168.1.1",
        "172.16.0.1",
        "10.0.0.1",
        "100.64.0.1",
        "169.254.1.1",
        "224.0.0.251",
        "fe80::1",
        "ff02::1",
        "fd7a:115c:a1e0::1",
        "203.0.113.9",
    ],
)
def test_an_exit_node_does_not_answer_for_what_surrounds_it(destination: str) -> None:
    lan = [Prefix.parse("203.0.113.0/24")]
    assert Address.parse(destination) not in local_destinations([], EXIT, lan)


def test_an_explicit_route_outweighs_what_an_exit_leaves_out() -> None:
    routes = [*EXIT, Prefix.parse("192.168.1.0/24")]
    lan = [Prefix.parse("192.168.1.0/24")]
    assert Address.parse("192.168.1.1") in local_destinations([], routes, lan)


def test_an_ipv4_exit_answers_for_no_ipv6() -> None:
    assert not local_destinations([], EXIT[:1]).v6
