"""Addresses with a meaning in every tailnet, against published values."""

from __future__ import annotations

import json
from ipaddress import IPv4Address, IPv4Network, ip_address
from pathlib import Path
from typing import Any

import pytest

from control.wire.tailnet_address import (
    ipv6_of_ipv4,
    is_tailnet_address,
    reverse_name,
    via_address_of_name,
    via_prefix,
)

VECTORS: dict[str, Any] = json.loads(Path(__file__).with_name("addresses.json").read_text())


@pytest.mark.parametrize("case", VECTORS["via"], ids=lambda c: c["via"])
def test_4via6_prefix(case: dict[str, Any]) -> None:
    assert str(via_prefix(case["site"], IPv4Network(case["v4"]))) == case["via"]


@pytest.mark.parametrize("case", VECTORS["via_names"], ids=lambda c: c["name"])
def test_4via6_name(case: dict[str, Any]) -> None:
    expected = case["aaaa"] if case["aaaa"].startswith("fd7a") else None
    found = via_address_of_name(case["name"])
    assert (None if found is None else str(found)) == expected


@pytest.mark.parametrize("case", VECTORS["four_to_six"], ids=lambda c: c["v4"])
def test_ipv6_of_ipv4(case: dict[str, Any]) -> None:
    assert str(ipv6_of_ipv4(IPv4Address(case["v4"]))) == case["v6"]


@pytest.mark.parametrize("case", VECTORS["reverse"], ids=lambda c: c["ip"])
def test_reverse_name(case: dict[str, Any]) -> None:
    assert reverse_name(ip_address(case["ip"])) == case["name"]


@pytest.mark.parametrize("case", VECTORS["is_tailscale_ip"], ids=lambda c: c["ip"])
def test_tailnet_ranges(case: dict[str, Any]) -> None:
    assert is_tailnet_address(ip_address(case["ip"])) == case["yes"]


@pytest.mark.parametrize("site", [-1, 2**32])
def test_site_out_of_range_is_refused(site: int) -> None:
    with pytest.raises(ValueError, match="site"):
        via_prefix(site, IPv4Network("10.0.0.0/8"))
