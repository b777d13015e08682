"""Which sites a router translates for."""

from __future__ import annotations

import ipaddress

import pytest

from control.wire.tailnet_address import via_prefix
from node.hostnet.host import HostNetworkError
from node.via.translator import Sites, via_routes
from tests.unit.node.via.test_translate import HERE6, LAN, TCP, ipv4, ipv6

SUBNET = ipaddress.IPv4Network("10.77.0.0/24")
OURS = via_prefix(7, SUBNET)


def test_only_subnets_of_sites_are_translated() -> None:
    networks = [ipaddress.ip_network(text) for text in ("10.0.0.0/8", "::/0", "fd00::/64")]
    whole = ipaddress.IPv6Network("fd7a:115c:a1e0:b1a::/64")
    assert via_routes([*networks, whole, OURS]) == (OURS,)


def test_packet_of_a_site_goes_there_and_its_answer_back() -> None:
    sites = Sites([OURS, via_prefix(3, SUBNET)])
    there = sites.translated(ipv6(TCP))
    assert there is not None
    assert there[16:20] == LAN
    answer = bytearray(ipv4(TCP))
    answer[16:20] = there[12:16]
    back = sites.translated(bytes(answer))
    assert back is not None
    assert (back[8:20], back[24:40]) == (OURS.network_address.packed[:12], HERE6)


def test_other_sites_and_other_subnets_are_dropped() -> None:
    assert Sites([via_prefix(8, SUBNET)]).translated(ipv6(TCP)) is None
    other = via_prefix(7, ipaddress.IPv4Network("10.78.0.0/24"))
    assert Sites([other]).translated(ipv6(TCP)) is None
    assert Sites([]).translated(ipv4(TCP)) is None


def test_more_sites_than_stand_ins_are_refused() -> None:
    with pytest.raises(HostNetworkError, match="at most 6 sites"):
        Sites(via_prefix(number, SUBNET) for number in range(7))
