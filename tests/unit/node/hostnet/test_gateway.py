"""The kernel's routing table as text."""

from __future__ import annotations

from ipaddress import IPv4Address

from node.hostnet.gateway import default_gateway, parse_routes

HEAD = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
LAN = "eth0\t0001A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n"
WIRE = "eth0\t00000000\t0101A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n"
RADIO = "wlan0\t00000000\t0102A8C0\t0003\t0\t0\t600\t00000000\t0\t0\t0\n"
TUNNEL = "wg0\t00000000\t0103A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
HALF = "eth0\t00000000\t0104A8C0\t0003\t0\t0\t0\t00000080\t0\t0\t0\n"


def test_least_metric_wins_whatever_the_order() -> None:
    assert parse_routes(HEAD + LAN + RADIO + WIRE) == IPv4Address("192.168.1.1")


def test_tunnel_and_half_routes_do_not_count() -> None:
    assert parse_routes(HEAD + HALF + TUNNEL + RADIO, "wg0") == IPv4Address("192.168.2.1")


def test_no_default_route_is_no_gateway() -> None:
    assert parse_routes(HEAD + LAN + HALF) is None
    assert parse_routes("") is None


def test_this_machine_can_be_asked() -> None:
    found = default_gateway()
    assert found is None or found.version == 4
