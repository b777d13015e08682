"""How to dial what a DERP map names."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

import pytest

from control.wire import DerpMap, DerpNode, DerpRegion
from node.proxy.settings import ProxySettings
from node.relays.address import relay_addresses, tls_context

if TYPE_CHECKING:
    from relay.dial import RelayAddress

PIN = "sha256-raw:" + "ab" * 32


def address(**values: object) -> RelayAddress:
    node = DerpNode(name="1a", host_name="relay.example", **values)  # type: ignore[arg-type]
    derp_map = DerpMap(regions={1: DerpRegion(region_id=1, nodes=(node,))})
    [found] = relay_addresses(derp_map, 1, tls_context)
    return found


def verifies(found: RelayAddress) -> bool:
    assert found.tls is not None
    return found.tls.verify_mode == ssl.CERT_REQUIRED


def test_plain_entry_is_dialled_by_name_and_verified() -> None:
    found = address()
    assert (found.host, found.port, found.name) == ("relay.example", 443, "relay.example")
    assert verifies(found)


def test_address_saves_the_look_up_and_the_name_is_still_verified() -> None:
    found = address(ipv4="192.0.2.1", derp_port=8443)
    assert (found.host, found.port, found.name) == ("192.0.2.1", 8443, "relay.example")
    assert verifies(found)


def test_pin_takes_the_place_of_verification() -> None:
    found = address(cert_name=PIN)
    assert found.certificate_pin == PIN
    assert not verifies(found)


def test_other_certificate_name_is_what_is_verified() -> None:
    found = address(cert_name="cert.example")
    assert (found.name, found.certificate_pin) == ("cert.example", "")
    assert verifies(found)


@pytest.mark.parametrize("ipv4", ["", "none"])
def test_missing_address_is_looked_up(ipv4: str) -> None:
    assert address(ipv4=ipv4).host == "relay.example"


@pytest.mark.parametrize(
    ("ipv4", "ipv6", "hosts"),
    [
        ("192.0.2.1", "2001:db8::1", ["192.0.2.1", "2001:db8::1"]),
        ("none", "2001:db8::1", ["2001:db8::1"]),
        ("", "2001:db8::1", ["relay.example", "2001:db8::1"]),
        ("192.0.2.1", "none", ["192.0.2.1"]),
        ("none", "none", ["relay.example"]),
    ],
)
def test_both_families_are_dialled(ipv4: str, ipv6: str, hosts: list[str]) -> None:
    node = DerpNode(name="1a", host_name="relay.example", ipv4=ipv4, ipv6=ipv6)
    derp_map = DerpMap(regions={1: DerpRegion(region_id=1, nodes=(node,))})
    found = relay_addresses(derp_map, 1, tls_context)
    assert [address.host for address in found] == hosts
    assert {address.name for address in found} == {"relay.example"}


def test_unknown_region_has_no_relays() -> None:
    assert relay_addresses(DerpMap(), 7, tls_context) == []


def test_stun_only_nodes_are_not_dialled() -> None:
    node = DerpNode(name="1a", host_name="stun.example", stun_only=True)
    derp_map = DerpMap(regions={1: DerpRegion(region_id=1, nodes=(node,))})
    assert relay_addresses(derp_map, 1, tls_context) == []


def test_proxy_is_asked_for_the_name_unless_the_relay_is_excepted() -> None:
    node = DerpNode(name="1a", host_name="relay.example", ipv4="192.0.2.1")
    derp_map = DerpMap(regions={1: DerpRegion(region_id=1, nodes=(node,))})
    environment = {"HTTPS_PROXY": "proxy.example:3128"}
    [found] = relay_addresses(derp_map, 1, tls_context, ProxySettings.from_environment(environment))
    assert (found.host, found.name) == ("relay.example", "relay.example")
    assert found.connect is not None
    for excepted in ("relay.example", "192.0.2.0/24"):
        settings = ProxySettings.from_environment({**environment, "NO_PROXY": excepted})
        [found] = relay_addresses(derp_map, 1, tls_context, settings)
        assert (found.host, found.connect) == ("192.0.2.1", None)
